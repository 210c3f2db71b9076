"""A key names the next one: only with both signatures, and only for who believes the first."""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import RecordingDamaged
from recgate.recording.cbor import encode
from recgate.recording.cose import HEADER_TYPE, public_bytes, sign
from recgate.recording.succession import SUCCESSION_TYPE, Succession, read_succession, sign_succession

OLD, NEW, THIEF = (Ed25519PrivateKey.generate() for _ in range(3))
WALL = 1_750_000_000_000_000_000


def made(*signers, old=OLD, new=NEW, kind=SUCCESSION_TYPE, version=1):
    payload = Succession("gate-1", public_bytes(old), public_bytes(new), WALL).encode()
    if version != 1:
        payload = encode({**cbor2.loads(payload), "version": version})
    return encode([sign(key, kind, payload, named=True) for key in signers])


def test_a_statement_says_who_follows_whom_and_when():
    found = read_succession(sign_succession("gate-1", OLD, NEW, WALL))
    assert found == Succession("gate-1", public_bytes(OLD), public_bytes(NEW), WALL)


@pytest.mark.parametrize(
    ("signers", "why"),
    [
        ((THIEF, NEW), "not signed by the old key"),
        ((OLD, THIEF), "not signed by the new key"),
        ((NEW, OLD), "not signed by the old key"),
        ((OLD, OLD), "not signed by the new key"),
        ((OLD,), "1 elements instead of 2"),
        ((OLD, NEW, THIEF), "3 elements instead of 2"),
    ],
)
def test_both_keys_must_have_signed(signers, why):
    with pytest.raises(RecordingDamaged, match=why):
        read_succession(made(*signers))


def test_the_same_statement_must_be_signed_by_both():
    one = cbor2.loads(made(OLD, NEW))
    other = cbor2.loads(sign_succession("gate-1", OLD, NEW, WALL + 1))
    with pytest.raises(RecordingDamaged, match="different statements"):
        read_succession(encode([one[0], other[1]]))


def test_a_signature_over_something_else_is_none_over_this():
    with pytest.raises(RecordingDamaged, match=r"is not EdDSA over application/vnd\.recgate\.succession"):
        read_succession(made(OLD, NEW, kind=HEADER_TYPE))


def test_a_key_does_not_follow_itself():
    with pytest.raises(RecordingDamaged, match="names one key twice"):
        read_succession(made(OLD, OLD, new=OLD))


def test_another_version_is_refused():
    with pytest.raises(RecordingDamaged, match="another version"):
        read_succession(made(OLD, NEW, version=2))


def test_no_changed_byte_is_believed_and_none_gives_another_error():
    statement = made(OLD, NEW)
    for place in range(len(statement)):
        with pytest.raises(RecordingDamaged):
            read_succession(statement[:place] + bytes([statement[place] ^ 1]) + statement[place + 1 :])
    for size in range(0, len(statement), 7):
        with pytest.raises(RecordingDamaged):
            read_succession(statement[:size])
