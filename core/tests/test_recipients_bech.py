"""The text form of keys, against the vectors of BIP 350, and against slips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.recipients.bech import MAX_TEXT, BadText, decode, encode


def test_it_reads_and_writes_what_bip_350_says():
    assert decode("A1LQFN3A") == ("a", b"")
    assert encode("a", b"") == "a1lqfn3a"
    # 32 values of five bits, 31 down to 0: the same as these 20 bytes.
    assert encode("abcdef", bytes.fromhex("ffbbcdeb38bdab49ca307b9ac5a928398a418820")) == (
        "abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx"
    )


@given(st.binary(max_size=1300))
def test_what_is_written_is_read_again(data):
    assert decode(encode("rgpub", data)) == ("rgpub", data)
    assert decode(encode("rgpub", data).upper()) == ("rgpub", data)


@given(st.data())
def test_every_single_slip_is_noticed(data):
    text = encode("rgpub", bytes(range(33)))
    place = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(
        st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7lb1io").filter(lambda x: x != text[place])
    )

    for wrong in (text[:place] + letter + text[place + 1 :], text[:place] + text[place + 1 :]):
        with pytest.raises(BadText):
            decode(wrong)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "does not begin"),
        ("rgpub", "does not begin"),
        ("1qqqqqq", "does not begin"),
        ("ключ1qqqqqq", "does not begin"),
        ("rgpub1qqqqq", "does not begin"),
        ("rgpub1bbbbbb", "a character that no key has"),
        ("A1LQFN3a", "mixes upper and lower case"),
        ("q" * (MAX_TEXT + 1), "is longer than"),
        ("A1G7SGD8", "checksum"),  # BIP 350: a checksum of the older Bech32
        ("a1qqqqqqqqq", "checksum"),
        ("a1qpg8r8qs", "bits behind its end"),  # one byte in two letters, the spare bits not zero
        ("a1qy52hkn", "bits behind its end"),  # a letter more than bytes take
    ],
)
def test_what_is_no_key_says_why(text, expected):
    with pytest.raises(BadText, match=expected) as raised:
        decode(text)
    assert len(text) < 5 or text not in str(raised.value)


@given(st.text(max_size=200))
def test_garbage_is_refused_and_nothing_else(text):
    with pytest.raises(BadText):
        decode(text + "\n")
