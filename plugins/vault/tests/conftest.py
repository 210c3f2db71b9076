"""One real OpenBao for all tests of the vault; each test that changes it has paths of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recgate_vault.settings import VaultSettings
from recgate_vault.signer import Signer
from recgate_vault.vault import ServerVault
from tests.peers.openbao import OpenBao


@pytest.fixture(scope="session")
def bao() -> Iterator[OpenBao]:
    with OpenBao() as server:
        server.mount("secret", "kv", {"version": "2"})
        server.mount("old", "kv", {"version": "1"})
        yield server


@pytest.fixture
def vault(bao: OpenBao, tmp_path: Path) -> Callable[..., ServerVault]:
    """Make a vault over a token with these rights: `vault({"secret/data/*": "read"}, timeout=5.0)`."""
    made = 0

    def make(
        rights: dict[str, str] | None = None, signer: Signer | None = None, **settings: object
    ) -> ServerVault:
        nonlocal made
        made += 1
        name = f"{tmp_path.name}-{made}".replace("[", "-").replace("]", "-")
        bao.policy(name, **(rights or {}))
        token = tmp_path / f"token-{made}"
        token.touch(mode=0o600)
        token.write_text(bao.token(name))
        given = {
            "name": "hv",
            "address": bao.address,
            "ca": bao.authority.path,
            "auth": {"token": {"file": token}},
            **settings,
        }
        return ServerVault(VaultSettings.model_validate(given), patience=15.0, signer=signer)

    return make
