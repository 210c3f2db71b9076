"""Keys in a real token (SoftHSM): what it signs others verify, and what it holds nobody gets."""

from __future__ import annotations

import os
from pathlib import Path

import pkcs11
import pytest
from pkcs11.exceptions import AttributeSensitive

from recgate.errors import ConfigurationError, RecordingFailed
from recgate.keys import GatewayKeys
from recgate.keys.keeping import KeyReference
from recgate.keys.listing import key_rows
from recgate.keys.rotation import rotate_identity, rotate_journal
from recgate.model import Secret
from recgate.recording.cose import key_id, public_bytes
from recgate.recording.succession import read_succession, sign_succession
from recgate.recording.trust import Trust
from recgate_keys_pkcs11.keeper import TokenKeeper
from recgate_keys_pkcs11.settings import Pkcs11Settings
from tests.peers.softtoken import MODULE, SoftToken


@pytest.fixture
def token(tmp_path, monkeypatch):
    made = SoftToken(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    pkcs11.lib(str(MODULE)).reinitialize()  # which reads where this test's tokens are
    return made


@pytest.fixture
def keeper(token):
    return TokenKeeper(Pkcs11Settings.model_validate(token.settings))


def test_what_the_token_signs_verifies_by_the_public_half_that_it_gave(keeper):
    reference = keeper.create("gate-1 identity")
    old, new = keeper.open(reference), keeper.open(keeper.create("gate-1 identity"))
    statement = read_succession(sign_succession("gate-1", old, new, 1))
    assert (statement.old, statement.new) == (reference.public, public_bytes(new))
    assert statement.old != statement.new


def test_the_private_half_does_not_come_out(keeper, token):
    keeper.create("gate-1 identity")
    session = (
        pkcs11.lib(str(MODULE))
        .get_token(token_label="gate")
        .open(user_pin=token.pin_file.read_text().strip())
    )
    (private,) = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})
    assert private[pkcs11.Attribute.SENSITIVE]
    assert not private[pkcs11.Attribute.EXTRACTABLE]
    with pytest.raises(AttributeSensitive):
        private[pkcs11.Attribute.VALUE]
    session.close()


def test_a_secret_is_wrapped_for_one_purpose(keeper):
    wrapped = keeper.wrap(Secret(b"k" * 32), b"journal")
    assert keeper.unwrap(wrapped, b"journal").reveal() == b"k" * 32
    assert keeper.wrap(Secret(b"k" * 32), b"journal") != wrapped
    for other, about in (
        (wrapped, b"masks"),
        (wrapped[:-8] + "AAAAAAA=", b"journal"),
        ("", b"journal"),
        ("!", b"x"),
    ):
        with pytest.raises(ConfigurationError, match="keys: the token gate"):
            keeper.unwrap(other, about)


def test_a_token_that_is_away_is_told_of_and_used_again_when_it_is_back(keeper, token):
    key = keeper.open(keeper.create("gate-1 identity"))
    token.take_away()
    with pytest.raises(
        RecordingFailed, match=r"keys: the token gate in .* cannot be used .* see that it is there"
    ):
        key.sign(b"x")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        keeper.create("other")
    token.put_back()
    assert key.sign(b"x")


def test_a_wrong_pin_is_tried_once(keeper, token):
    key = keeper.open(keeper.create("gate-1 identity"))
    right = token.pin_file.read_text()
    token.pin_file.write_text("999999")
    with pytest.raises(RecordingFailed, match="does not take the PIN in"):
        key.sign(b"x")
    for _ in range(20):  # more than the token forgives
        with pytest.raises(RecordingFailed, match="another try may lock it") as told:
            key.sign(b"x")
    assert "999999" not in str(told.value)
    token.pin_file.write_text(right)
    assert key.sign(b"x")


def test_a_pin_that_others_may_read_or_that_is_gone_is_refused(keeper, token):
    token.pin_file.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"others may read it \(mode 0644\)\. Run `chmod 600"):
        keeper.create("x")
    token.pin_file.unlink()
    with pytest.raises(ConfigurationError, match="is gone"):
        keeper.create("x")


def test_a_key_that_is_not_there_or_is_another_one_signs_nothing(keeper):
    real, other = keeper.create("one"), keeper.create("two")
    with pytest.raises(RecordingFailed, match="has no such key; restore the token"):
        keeper.open(KeyReference("pkcs11", os.urandom(16).hex(), real.public)).sign(b"x")
    with pytest.raises(RecordingFailed, match="signs with another key than the gateway's"):
        keeper.open(KeyReference("pkcs11", real.name, other.public)).sign(b"x")


def test_a_module_that_does_not_load_is_named(token):
    settings = token.settings | {"module": str(Path(token.pin_file))}
    keeper = TokenKeeper(Pkcs11Settings.model_validate(settings))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        keeper.create("x")


def test_a_gateway_moves_its_keys_into_the_token_and_old_trust_files_stay_good(keeper, tmp_path):
    before = GatewayKeys(tmp_path / "data", "gate-1")
    before.prepare()
    (tmp_path / "old").write_bytes((tmp_path / "data" / "trust.json").read_bytes())
    keys = GatewayKeys(tmp_path / "data", "gate-1", keeper=keeper)
    keys.prepare()
    rotate_identity(keys)
    rotate_journal(keys)
    again = GatewayKeys(tmp_path / "data", "gate-1", keeper=keeper)
    again.prepare()
    assert again.same_as(keys)
    assert {row.key for row in key_rows(keys.directory) if row.at == "pkcs11"} == {"identity", "journal"}
    trust = Trust.load(tmp_path / "old", beside=[tmp_path / "data" / "trust.json"])
    assert trust.key(key_id(public_bytes(keys.identity)))
