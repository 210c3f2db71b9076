"""Time stamps of a real authority (OpenSSL): what verifies, and everything that must not."""

from __future__ import annotations

import time

import pytest

from core.tests.timestampauthority import TimestampAuthority
from recgate.errors import ConfigurationError, LedgerDamaged
from recgate.witness.timestamps import MAX_TOKEN, Query, authorities, stamp_path, stamped, verify_stamp

TEXT = "recgate/gate-1/00\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return TimestampAuthority(tmp_path_factory.mktemp("tsa") / "tsa")


def test_a_time_stamp_says_when(authority):
    query = Query.over(TEXT)
    token = authority.answer(query.data)

    when = verify_stamp(token, TEXT, authorities(authority.ca), query.nonce)

    assert abs(when - time.time()) < 60
    assert verify_stamp(token, TEXT, authorities(authority.ca)) == when  # later, when nobody knows the nonce


def test_another_text_another_nonce_and_another_authority_do_not_verify(authority, tmp_path):
    query = Query.over(TEXT)
    token = authority.answer(query.data)
    roots = authorities(authority.ca)
    other = TimestampAuthority(tmp_path / "other")

    for text, trusted, nonce in (
        (TEXT + "x\n", roots, query.nonce),
        (TEXT, roots, query.nonce + 1),
        (TEXT, authorities(other.ca), query.nonce),
        (TEXT, [], None),
    ):
        with pytest.raises(LedgerDamaged):
            verify_stamp(token, text, trusted, nonce)


def test_a_certificate_for_something_else_does_not_count(authority):
    # OpenSSL itself does not sign with such a certificate, so one of another purpose is put into its place.
    token = authority.answer(Query.over(TEXT).data)
    stamping, web = (bytes.fromhex(f"2b060105050703{last}") for last in ("08", "01"))
    assert token.count(stamping) == 1

    with pytest.raises(LedgerDamaged):
        verify_stamp(token.replace(stamping, web), TEXT, authorities(authority.ca))


def test_a_flipped_bit_anywhere_does_not_verify(authority):
    token = authority.answer(Query.over(TEXT).data)
    roots = authorities(authority.ca)
    right = verify_stamp(token, TEXT, roots)
    for place in range(0, len(token), 7):
        changed = bytearray(token)
        changed[place] ^= 1
        try:
            assert verify_stamp(bytes(changed), TEXT, roots) == right  # something that nobody reads
        except LedgerDamaged:
            continue


@pytest.mark.parametrize("token", [b"", b"\x30\x00", b"\x30\x80", b"x" * 500, b"\x30" * (MAX_TOKEN + 1)])
def test_garbage_is_refused(authority, token):
    with pytest.raises(LedgerDamaged):
        verify_stamp(token, TEXT, authorities(authority.ca))


def test_authorities_that_cannot_be_read_are_said_so(tmp_path):
    for name, data in (("none", None), ("junk", b"junk")):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigurationError, match="authorities"):
            authorities(tmp_path / name)


def test_stamps_are_found_by_the_size_that_they_are_over(tmp_path):
    assert stamped(tmp_path) == []
    stamp_path(tmp_path, 7).parent.mkdir()
    for name in ("7.tsr", "123.tsr", "x.tsr", "9.txt"):
        (stamp_path(tmp_path, 7).parent / name).touch()

    assert stamped(tmp_path) == [7, 123]
