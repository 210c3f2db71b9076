"""One provider for a module's tests: it takes a second to start."""

import pytest

from tests.peers.oidcprovider import OidcProvider


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        yield running
