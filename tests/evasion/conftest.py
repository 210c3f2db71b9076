"""One server and one gateway for all that is tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from recgate.testing.process import GatewayProcess
from tests.evasion.house import House, configuration, seed
from tests.peers.postgres import Cluster, debian_bin


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with Cluster(debian_bin(), tls=False, settings={"max_prepared_transactions": "5"}) as cluster:
        seed(cluster)
        gate = GatewayProcess(tmp_path_factory.mktemp("evasion"), configuration(cluster))
        with closing(House(cluster, gate)) as running, gate:
            running.open()
            yield running
