"""Real servers, one of each a test run, and what the tests say to them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.postgres import Cluster, debian_bin, wheel_bin


@pytest.fixture(scope="session")
def debian() -> Iterator[Cluster]:
    """PostgreSQL 15 with TLS: protocol 3.0."""
    with Cluster(debian_bin(), tls=True) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def wheel() -> Iterator[Cluster]:
    """PostgreSQL 18 without TLS: protocol 3.2."""
    with Cluster(wheel_bin(), tls=False) as cluster:
        yield cluster
