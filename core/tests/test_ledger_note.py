"""Signed notes as the specification's own example and Go's implementation write them, and what is refused."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import LedgerDamaged
from recgate.ledger.note import (
    ED25519,
    MAX_NOTE,
    MAX_SIGNATURES,
    Line,
    Note,
    Vkey,
    is_name,
    merge_lines,
    parse_line,
    parse_note,
    sign_note,
)

# The example of C2SP signed-note.
EXAMPLE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
EXAMPLE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

# Those of golang.org/x/mod/sumdb/note: a private key (type and seed), its public one, and what it signed.
PETER_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
BOTH = (TEXT + "\n" + PETER + ENOCH).encode()


def test_the_example_of_the_specification_verifies():
    key = Vkey.parse(EXAMPLE_KEY)

    assert key.text == EXAMPLE_KEY
    assert parse_note(EXAMPLE).verified(key) == "This is an example message.\n"


def test_what_is_signed_here_is_what_go_signs_byte_for_byte():
    line = sign_note(TEXT, "PeterNeumann", Ed25519PrivateKey.from_private_bytes(PETER_SEED))

    assert line.text == PETER
    assert Note(TEXT, (line, parse_line(ENOCH[:-1]))).encode() == BOTH


def test_unknown_keys_are_passed_over_and_one_known_key_is_enough():
    note = parse_note(BOTH)
    peter, enoch = Vkey.parse(PETER_KEY), Vkey.parse(ENOCH_KEY)

    assert note.verified(peter) == TEXT
    assert note.verified(peter, enoch) == TEXT
    with pytest.raises(LedgerDamaged, match="not signed by example"):
        note.verified(Vkey.parse(EXAMPLE_KEY))
    with pytest.raises(LedgerDamaged, match="any key"):
        note.verified()


def test_a_known_key_whose_signature_does_not_verify_damns_the_note():
    peter, enoch = Vkey.parse(PETER_KEY), Vkey.parse(ENOCH_KEY)
    signed = parse_note(BOTH)
    first, second = signed.lines
    damaged = Note(signed.text, (first, Line(second.name, second.key_id, bytes(64))))

    assert damaged.verified(peter) == TEXT
    with pytest.raises(LedgerDamaged, match="EnochRoot is not over this text"):
        damaged.verified(peter, enoch)


def test_a_name_or_an_id_alone_is_another_key():
    note = parse_note(BOTH)
    peter = Vkey.parse(PETER_KEY)
    lines = (Line("Peter", peter.id, note.lines[0].signature), Line("PeterNeumann", b"abcd", bytes(64)))

    with pytest.raises(LedgerDamaged, match="not signed by PeterNeumann"):
        Note(TEXT, lines).verified(peter)


def test_every_piece_of_a_key_and_every_key_with_another_character_is_refused():
    for start in range(len(PETER_KEY) + 1):
        for end in range(start, len(PETER_KEY) + 1):
            if end - start < len(PETER_KEY):
                with pytest.raises(LedgerDamaged):
                    Vkey.parse(PETER_KEY[start:end])
    for place in range(len(PETER_KEY)):
        changed = PETER_KEY[:place] + chr(ord(PETER_KEY[place]) + 1) + PETER_KEY[place + 1 :]
        with pytest.raises(LedgerDamaged):
            Vkey.parse(changed)


@pytest.mark.parametrize("kind", [0x00, 0x02, 0x05, 0xFF])
def test_a_key_of_another_kind_is_refused_although_its_id_is_right(kind):
    text = Vkey("log", kind, bytes(32)).text

    with pytest.raises(LedgerDamaged, match="not an Ed25519 or ML-DSA-44 key"):
        Vkey.parse(text)


def test_a_key_of_another_length_is_refused_although_its_id_is_right():
    with pytest.raises(LedgerDamaged, match="not an Ed25519"):
        Vkey.parse(Vkey("log", ED25519, bytes(33)).text)


def test_the_id_of_a_key_is_the_hash_that_the_specification_says():
    public = bytes(range(32))

    assert Vkey("a/b", 4, public).id == hashlib.sha256(b"a/b\n\x04" + public).digest()[:4]


MALFORMED = {
    "empty": b"",
    "no signatures": TEXT.encode(),
    "no empty line": (TEXT + PETER).encode(),
    "no text": ("\n" + PETER).encode(),
    "no end of the last line": BOTH[:-1],
    "an empty line after the signatures": BOTH + b"\n",
    "not UTF-8": b"\xff" + BOTH,
    "a carriage return": BOTH.replace(b",\n", b",\r\n"),
    "a null": b"\0" + BOTH,
    "a hyphen for the dash": BOTH.replace("— Enoch".encode(), b"- Enoch"),
    "no name": (TEXT + "\n" + "—  x08go/ZJkuA=\n").encode(),
    "a plus sign in a name": BOTH.replace(b"EnochRoot", b"Enoch+Root"),
    "a space of Unicode in a name": BOTH.replace(b"EnochRoot", "Enoch\u00a0Root".encode()),
    "no base64": BOTH.replace(b"rwz+", b"rwz~"),
    "base64 in another form": BOTH.replace(b"+QQ=\n", b"+QR=\n"),
    "an id and no signature": (TEXT + "\n— x AAAAAA==\n").encode(),
    "too many signatures": (TEXT + "\n" + PETER * (MAX_SIGNATURES + 1)).encode(),
    "too long": (TEXT * (MAX_NOTE // len(TEXT)) + TEXT + "\n" + PETER).encode(),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_note_is_refused(data):
    with pytest.raises(LedgerDamaged):
        parse_note(data)


def test_sixteen_signatures_of_the_largest_kind_are_taken():
    lines = tuple(Line(f"witness-{number}", b"abcd", bytes(4900)) for number in range(16))

    assert parse_note(Note(TEXT, lines).encode()).lines == lines


def test_the_text_may_hold_empty_lines_and_ends_at_the_last_one():
    text = "one\n\n— two AAAA\n\nthree\u2028four\n"
    key = Ed25519PrivateKey.generate()
    note = Note(text, (sign_note(text, "me", key),))

    assert parse_note(note.encode()) == note


def test_a_newer_line_takes_the_place_of_the_one_by_the_same_key():
    old, other = Line("a", b"1111", b"old"), Line("b", b"1111", b"x")
    new, third = Line("a", b"1111", b"new"), Line("a", b"2222", b"y")

    assert merge_lines([old, other], [new, third]) == (new, other, third)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\x1fb", "a" * 256, "\ud800"])
def test_no_key_is_called_so(name):
    assert not is_name(name)


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_raises_nothing_else(data):
    for whole in (data, BOTH[: len(BOTH) - len(data)] + data):
        try:
            note = parse_note(whole)
        except LedgerDamaged:
            continue
        assert note.encode() == whole
