"""Auditors' keys: what fits, what does not, and that a private one shows nowhere."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from recgate.model import Secret
from recgate.recipients.bech import BadText, encode
from recgate.recipients.keys import HYBRID, X25519, Identity, NotOpened, Recipient

KINDS = [X25519, HYBRID]


@pytest.fixture(params=KINDS, ids=["x25519", "hybrid"])
def identity(request):
    return Identity.generate(request.param)


def test_what_is_sealed_to_a_recipient_is_opened_by_its_identity_alone(identity):
    sealed = identity.recipient.seal(b"a key", b"here")

    assert identity.open(sealed, b"here").reveal() == b"a key"
    for other in (
        Identity.generate(identity.kind),
        Identity.generate(HYBRID if identity.kind == X25519 else X25519),
    ):
        with pytest.raises(NotOpened):
            other.open(sealed, b"here")


def test_it_opens_nowhere_else_and_not_once_altered(identity):
    sealed = identity.recipient.seal(b"a key", b"here")

    with pytest.raises(NotOpened):
        identity.open(sealed, b"there")
    for place in (0, 31, 32, len(sealed) // 2, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[place] ^= 1
        with pytest.raises(NotOpened):
            identity.open(bytes(altered), b"here")
    for cut in (b"", sealed[:31], sealed[:-1], sealed + b"\0"):
        with pytest.raises(NotOpened):
            identity.open(cut, b"here")


@pytest.mark.parametrize("point", [bytes(32), (1).to_bytes(32, "little")])
def test_a_point_of_small_order_opens_nothing_and_is_no_recipient(identity, point):
    sealed = identity.recipient.seal(b"a key", b"here")
    with pytest.raises(NotOpened):
        identity.open(point + sealed[32:], b"here")
    with pytest.raises(NotOpened):
        identity.open(sealed[:-80] + point + sealed[-48:], b"here")

    lattice = identity.recipient.raw[:-32]
    with pytest.raises(BadText, match="nothing that is sealed to it would be secret"):
        Recipient(identity.kind, lattice + point)


def test_keys_are_read_as_they_are_written(identity):
    assert Recipient.parse(f" {identity.recipient.text}\n") == identity.recipient
    assert Identity.parse(identity.text.reveal().decode()) == identity
    assert identity.recipient.text.startswith("rgpub1")
    assert len(identity.recipient.id) == 32


def test_an_id_is_of_key_and_kind():
    recipient = Identity.generate().recipient
    assert recipient.id != Identity.generate().recipient.id


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (Recipient.parse, encode("rgkey", b"\x01" + bytes(32)), "is a PRIVATE key"),
        (Identity.parse, encode("rgpub", b"\x01" + b"\x05" * 32), "is a public key"),
        (Recipient.parse, encode("age", b"\x01" + bytes(32)), "is not a public key of an auditor"),
        (Identity.parse, encode("age", b"\x01" + bytes(32)), "is not a private key of an auditor"),
        (Recipient.parse, encode("rgpub", b""), "is not a public key"),
        (Identity.parse, encode("rgkey", b""), "is not a private key"),
        (Recipient.parse, encode("rgpub", b"\x01" + bytes(31)), "has 31 bytes where kind 1 has 32"),
        (Recipient.parse, encode("rgpub", b"\x02" + bytes(32)), "has 32 bytes where kind 2 has 1216"),
        (Recipient.parse, encode("rgpub", b"\x03" + bytes(32)), "is of kind 3"),
        (Recipient.parse, encode("rgpub", b"\x02" + b"\xff" * 1216), "is no public key"),
        (Identity.parse, encode("rgkey", b"\x01" + bytes(33)), "is not as long"),
        (Identity.parse, encode("rgkey", b"\x07" + bytes(32)), "is of kind 7"),
    ],
)
def test_what_is_another_sort_of_key_says_so_and_is_not_repeated(read, text, expected):
    with pytest.raises(BadText, match=expected) as raised:
        read(text)
    assert text[6:] not in str(raised.value)


def test_a_private_key_shows_nowhere(identity):
    text = identity.text.reveal().decode()
    shown = f"{identity!r} {identity} {identity.secret} {identity.text}"

    assert text not in shown
    assert identity.secret.reveal().hex() not in shown
    assert isinstance(identity.text, Secret)


# -- RFC 9180 by its letter: another implementation reads what ours seals -----------------------------------


def extract(salt: bytes, keying: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), keying, "sha256")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(key)


class ByTheLetter:
    """The receiver of RFC 9180 in base mode with HKDF-SHA256 and AES-256-GCM, for one KEM."""

    def __init__(self, kem: int) -> None:
        self.kem = kem.to_bytes(2, "big")
        self.suite = b"HPKE" + self.kem + b"\0\1" + b"\0\2"

    def labeled(self, suite: bytes, salt: bytes, label: bytes, keying: bytes) -> bytes:
        return extract(salt, b"HPKE-v1" + suite + label + keying)

    def expanded(self, suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, length)

    def x25519(self, secret: bytes, enc: bytes) -> bytes:
        """DHKEM(X25519, HKDF-SHA256), RFC 9180 §4.1."""
        key = X25519PrivateKey.from_private_bytes(secret)
        shared = key.exchange(X25519PublicKey.from_public_bytes(enc))
        context = enc + key.public_key().public_bytes_raw()
        suite = b"KEM" + self.kem
        return self.expanded(
            suite, self.labeled(suite, b"", b"eae_prk", shared), b"shared_secret", context, 32
        )

    def xwing(self, secret: bytes, enc: bytes) -> bytes:
        """X-Wing (draft-connolly-cfrg-xwing-kem), with the seed of ML-KEM and the X25519 key apart."""
        lattice, point = (
            MLKEM768PrivateKey.from_seed_bytes(secret[:64]),
            X25519PrivateKey.from_private_bytes(secret[64:]),
        )
        first = lattice.decapsulate(enc[:1088])
        second = point.exchange(X25519PublicKey.from_public_bytes(enc[1088:]))
        public = point.public_key().public_bytes_raw()
        return hashlib.sha3_256(first + second + enc[1088:] + public + b"\\.//^\\").digest()

    def open(self, shared: bytes, info: bytes, sealed: bytes) -> bytes:
        """The key schedule of §5.1, and AES-256-GCM with its base nonce."""
        context = (
            b"\0"
            + self.labeled(self.suite, b"", b"psk_id_hash", b"")
            + self.labeled(self.suite, b"", b"info_hash", info)
        )
        secret = self.labeled(self.suite, shared, b"secret", b"")
        key = self.expanded(self.suite, secret, b"key", context, 32)
        nonce = self.expanded(self.suite, secret, b"base_nonce", context, 12)
        return AESGCM(key).decrypt(nonce, sealed, b"")


def test_what_is_sealed_is_rfc_9180_by_its_letter():
    ours = Identity.generate(X25519)
    sealed = ours.recipient.seal(b"a key", b"here")
    letter = ByTheLetter(0x0020)
    shared = letter.x25519(ours.secret.reveal(), sealed[:32])
    assert letter.open(shared, b"here", sealed[32:]) == b"a key"


def test_what_is_sealed_to_a_hybrid_key_is_x_wing_by_its_letter():
    ours = Identity.generate(HYBRID)
    sealed = ours.recipient.seal(b"a key", b"here")
    letter = ByTheLetter(0x647A)
    shared = letter.xwing(ours.secret.reveal(), sealed[:1120])
    assert letter.open(shared, b"here", sealed[1120:]) == b"a key"
