"""A key that is no file: its file says who keeps it, and opens nothing by itself."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recgate.errors import ConfigurationError
from recgate.keys import GatewayKeys
from recgate.keys.keeping import KeyReference, load_signing, new_signing, open_secret, seal_secret
from recgate.keys.listing import key_rows
from recgate.keys.rotation import rotate_identity, rotate_journal
from recgate.model import Secret
from recgate.recording.cose import key_id, public_bytes
from recgate.recording.trust import Trust


class Kept:
    def __init__(self, key, reference):
        self._key, self.reference = key, reference

    def sign(self, data, /):
        return self._key.sign(data)

    def public_key(self):
        return self._key.public_key()


class Keeper:
    """A keeper in memory."""

    name = "chest"

    def __init__(self):
        self.keys = {}
        self._cipher = AESGCM(bytes(32))

    def create(self, label):
        name = f"{label} {len(self.keys)}"
        self.keys[name] = Ed25519PrivateKey.generate()
        return KeyReference(self.name, name, public_bytes(self.keys[name]))

    def open(self, reference):
        return Kept(self.keys[reference.name], reference)

    def wrap(self, secret, about):
        return base64.b64encode(self._cipher.encrypt(bytes(12), secret.reveal(), about)).decode()

    def unwrap(self, wrapped, about):
        return Secret(self._cipher.decrypt(bytes(12), base64.b64decode(wrapped), about))


def test_the_file_of_a_kept_key_says_where_it_is_and_holds_none():
    keeper = Keeper()
    data = new_signing(keeper, "gate-1 identity")
    key = load_signing(data, "identity.pem", keeper)
    assert public_bytes(key) == public_bytes(keeper.keys["gate-1 identity 0"])
    assert keeper.keys["gate-1 identity 0"].private_bytes_raw() not in base64.b64decode(data.splitlines()[1])
    assert KeyReference.parse(data, "x") == KeyReference("chest", "gate-1 identity 0", public_bytes(key))


def test_a_key_of_a_keeper_that_is_not_configured_is_named():
    data = new_signing(Keeper(), "identity")
    with pytest.raises(ConfigurationError, match=r"kept by chest, which the configuration does not name"):
        load_signing(data, "identity.pem", None)
    with pytest.raises(ConfigurationError, match="kept by chest"):
        open_secret(seal_secret(Keeper(), bytes(32), b"x"), "journal", None, b"x")


@pytest.mark.parametrize("damage", [lambda data: data[:60], lambda data: data.replace(b"\n", b"\n!", 1)])
def test_a_damaged_reference_is_refused(damage):
    keeper = Keeper()
    with pytest.raises(ConfigurationError, match="not a whole reference"):
        load_signing(damage(new_signing(keeper, "identity")), "identity.pem", keeper)


def test_a_secret_without_a_keeper_is_itself():
    assert open_secret(seal_secret(None, b"k" * 32, b"x"), "journal", None, b"x") == b"k" * 32


def test_a_gateway_moves_its_keys_to_a_keeper_by_rotating_them(tmp_path):
    before = GatewayKeys(tmp_path / "data", "gate-1")
    before.prepare()
    (tmp_path / "old").write_bytes((tmp_path / "data" / "trust.json").read_bytes())
    keeper = Keeper()
    keys = GatewayKeys(tmp_path / "data", "gate-1", keeper=keeper)
    keys.prepare()
    rotate_identity(keys)
    rotate_journal(keys)
    at = [(row.key, row.algorithm, row.at) for row in key_rows(keys.directory)]
    assert ("identity", "Ed25519", "chest") in at
    assert ("journal", "AES-256", "chest") in at
    assert keys.journal.reveal() not in (keys.directory / "journal").read_bytes()
    trust = Trust.load(tmp_path / "old", beside=[tmp_path / "data" / "trust.json"])
    assert trust.key(key_id(public_bytes(keys.identity)))
    again = GatewayKeys(tmp_path / "data", "gate-1", keeper=keeper)
    again.prepare()
    assert again.same_as(keys)
    with pytest.raises(ConfigurationError, match="kept by chest"):
        GatewayKeys(tmp_path / "data", "gate-1").prepare()
