"""The gateway's own keys in the transit engine of a real OpenBao."""

from __future__ import annotations

from typing import cast

import pytest

from recgate.config import Configuration
from recgate.errors import ConfigurationError, PluginError, RecordingFailed
from recgate.keys import GatewayKeys
from recgate.keys.keeping import KeyReference
from recgate.keys.rotation import rotate_identity, rotate_journal
from recgate.model import Secret
from recgate.recording.cose import public_bytes
from recgate.recording.succession import read_succession, sign_succession
from recgate_vault import plugin
from recgate_vault.keykeeper import TransitKeeper
from recgate_vault.settings import TransitSettings, VaultSettings
from tests.peers.openbao import OpenBao

RIGHTS = {f"transit/{what}/recgate-*": "update" for what in ("sign", "encrypt", "decrypt")}
ALL = {**RIGHTS, "transit/keys/recgate-*": "create update read"}


@pytest.fixture(scope="module")
def bao():
    with OpenBao() as server:
        server.mount("transit", "transit")
        server.policy("gate", **ALL)
        yield server


@pytest.fixture
def settings(bao, tmp_path):
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(bao.token("gate", period="1h"))
    given = {"name": "hv", "address": bao.address, "ca": str(bao.authority.path), "timeout": 5.0}
    return VaultSettings.model_validate({**given, "auth": {"token": {"file": str(token)}}})


@pytest.fixture
def keeper(settings):
    return TransitKeeper(settings, "transit")


def test_what_the_engine_signs_verifies_by_the_public_half_that_it_gave(keeper):
    reference = keeper.create("gate-1 identity")
    old, new = keeper.open(reference), keeper.open(keeper.create("gate-1 identity"))
    statement = read_succession(sign_succession("gate-1", old, new, 1))
    assert (statement.old, statement.new) == (reference.public, public_bytes(new))
    assert statement.old != statement.new
    assert reference.name.startswith("recgate-gate-1-identity-")


def test_a_secret_is_wrapped_for_one_purpose(keeper):
    wrapped = keeper.wrap(Secret(b"k" * 32), b"journal")
    assert keeper.unwrap(wrapped, b"journal").reveal() == b"k" * 32
    with pytest.raises(ConfigurationError, match="keys: vault hv: "):
        keeper.unwrap(wrapped, b"masks")


def test_a_key_that_is_not_there_or_is_another_one_signs_nothing(keeper, bao):
    one, two = keeper.create("one"), keeper.create("two")
    with pytest.raises(RecordingFailed, match="keys: vault hv"):
        keeper.open(KeyReference("transit", "recgate-nothing", one.public)).sign(b"x")
    with pytest.raises(RecordingFailed, match="another key than the gateway's"):
        keeper.open(KeyReference("transit", one.name, two.public)).sign(b"x")
    bao(f"transit/keys/{one.name}/rotate", {})
    with pytest.raises(RecordingFailed, match="Was it rotated there"):
        keeper.open(one).sign(b"x")


def test_a_server_that_is_away_is_named_and_used_again_when_it_is_back(keeper, bao):
    key = keeper.open(keeper.create("identity"))
    bao.stop()
    with pytest.raises(RecordingFailed, match=f"{bao.address} cannot be reached"):
        key.sign(b"x")
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        keeper.create("other")
    bao.start()
    assert key.sign(b"x")


def test_a_gateway_moves_its_keys_into_the_engine(keeper, tmp_path):
    GatewayKeys(tmp_path / "data", "gate-1").prepare()
    keys = GatewayKeys(tmp_path / "data", "gate-1", keeper=keeper)
    keys.prepare()
    rotate_identity(keys)
    rotate_journal(keys)
    again = GatewayKeys(tmp_path / "data", "gate-1", keeper=keeper)
    again.prepare()
    assert again.same_as(keys)
    assert b"PRIVATE" not in (keys.directory / "identity.pem").read_bytes()


class Configured:
    """As much of a configuration as the hook asks for."""

    def __init__(self, servers, options):
        self._servers, self._options = servers, options

    def keeper_options(self, word):
        return self._options if word == "transit" else None

    def options_of(self, section, word):
        return self._servers


def test_the_keeper_is_at_the_vault_that_is_named(settings):
    hook = lambda config: plugin.recgate_key_keepers(cast("Configuration", config))  # noqa: E731
    (keeper,) = hook(Configured((settings,), TransitSettings(vault="hv")))
    assert keeper.name == "transit"
    assert list(hook(Configured((settings,), None))) == []
    with pytest.raises(PluginError, match="no entry of `vaults:` is a vault called other"):
        hook(Configured((settings,), TransitSettings(vault="other")))
