"""User certificates that the gateway signs: what they say, and what is not taken for one."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import AuthenticationFailed
from recgate.keys.usercertificates import MAX_BLOB, Proven, check, new_serial, sign

CA = Ed25519PrivateKey.generate()
NOW = 1_800_000_000.0


def blob(proven: Proven, authority: Ed25519PrivateKey = CA) -> bytes:
    line = sign(authority, Ed25519PrivateKey.generate().public_key(), proven, NOW)
    return base64.b64decode(line.split()[1])


def test_what_was_signed_is_what_is_proven():
    proven = Proven("corp:zoë", new_serial(), NOW + 600, "recgate-sign-in corp abc")

    assert check(blob(proven), CA.public_key(), NOW) == proven


@pytest.mark.parametrize("moment", [NOW - 61, NOW + 600])
def test_out_of_its_time_it_proves_nothing(moment):
    with pytest.raises(AuthenticationFailed, match="not valid now"):
        check(blob(Proven("alice", 1, NOW + 600, "x")), CA.public_key(), moment)


def test_another_authoritys_certificate_is_left_alone():
    other = Ed25519PrivateKey.generate()

    assert check(blob(Proven("alice", 1, NOW + 600, "x"), other), CA.public_key(), NOW) is None


def test_a_changed_key_id_breaks_the_signature():
    data = blob(Proven("alice", 1, NOW + 600, "recgate alice 1"))

    with pytest.raises(AuthenticationFailed, match="signature"):
        check(data.replace(b"recgate alice 1", b"recgate alice 2"), CA.public_key(), NOW)


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\xff\xff\xff\xffx"])
def test_half_a_string_is_refused(data):
    with pytest.raises(AuthenticationFailed, match="cannot be read"):
        check(data, CA.public_key(), NOW)


def test_an_endless_one_is_not_read():
    assert check(bytes(MAX_BLOB + 1), CA.public_key(), NOW) is None
