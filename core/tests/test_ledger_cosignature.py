"""Cosignatures of both kinds: what witnesses say of a head, and that nothing else passes for it."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from recgate.errors import LedgerDamaged
from recgate.ledger.cosignature import MAX_TIME, cosign, cosignatures, witness_key
from recgate.ledger.note import MLDSA_COSIGNATURE, Line, Note, Vkey, parse_note

# The example of C2SP tlog-cosignature, whose witness's key is not published.
EXAMPLE = """example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
"""  # noqa: E501 - as it was published
TEXT = EXAMPLE.partition("\n\n")[0] + "\n"
TIME = 1679315147
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = witness_key("witness.example.com/w1", KEY)


def test_the_example_of_the_specification_is_a_note_with_a_time_in_its_second_line():
    line = parse_note(EXAMPLE.encode()).lines[1]

    assert int.from_bytes(line.signature[:8], "big") == TIME
    assert len(line.signature) == 8 + 64


def test_a_cosignature_is_over_the_header_the_time_and_the_text_as_the_specification_shows_them():
    line = cosign(TEXT, WITNESS.name, KEY, TIME)

    KEY.public_key().verify(line.signature[8:], f"cosignature/v1\ntime {TIME}\n{TEXT}".encode())
    assert line.key_id == WITNESS.id


def test_what_a_trusted_witness_says_is_read_and_what_others_say_is_passed_over():
    stranger = cosign(TEXT, "stranger", Ed25519PrivateKey.generate(), TIME + 1)
    note = Note(TEXT, (stranger, cosign(TEXT, WITNESS.name, KEY, TIME)))

    (said,) = cosignatures(note, [WITNESS, witness_key("silent", KEY)])

    assert (said.witness, said.time) == (WITNESS, TIME)


def test_another_time_or_another_head_does_not_verify():
    line = cosign(TEXT, WITNESS.name, KEY, TIME)
    later = Line(line.name, line.key_id, (TIME + 1).to_bytes(8, "big") + line.signature[8:])

    for note in (Note(TEXT, (later,)), Note(TEXT.replace("20852163", "20852164"), (line,))):
        with pytest.raises(LedgerDamaged, match="w1 is not over this text"):
            cosignatures(note, [WITNESS])


@pytest.mark.parametrize("signature", [bytes(64), bytes(71), bytes(73), b"\xff" * 72])
def test_a_signature_of_another_form_does_not_verify(signature):
    with pytest.raises(LedgerDamaged):
        cosignatures(Note(TEXT, (Line(WITNESS.name, WITNESS.id, signature),)), [WITNESS])


def test_a_time_that_no_clock_shows_is_refused_although_it_is_signed():
    for time in (0, MAX_TIME + 1):
        with pytest.raises(LedgerDamaged):
            cosignatures(Note(TEXT, (cosign(TEXT, WITNESS.name, KEY, time),)), [WITNESS])


def test_only_a_head_can_be_cosigned():
    text = "just words\n"

    with pytest.raises(LedgerDamaged):
        cosignatures(Note(text, (cosign(text, WITNESS.name, KEY, TIME),)), [WITNESS])


def test_the_signature_of_a_log_is_no_cosignature_and_the_other_way_round():
    line = cosign(TEXT, WITNESS.name, KEY, TIME)
    log_key = Vkey(WITNESS.name, 1, WITNESS.public)

    assert cosignatures(Note(TEXT, (line,)), [log_key]) == []
    with pytest.raises(LedgerDamaged, match="not signed"):
        Note(TEXT, (line,)).verified(log_key)


@pytest.fixture
def quantum_safe():
    key = MLDSA44PrivateKey.generate()
    return key, Vkey("oid/1.2.3", MLDSA_COSIGNATURE, key.public_key().public_bytes_raw())


def _subtree(name: bytes, time: int) -> bytes:
    root = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    origin = b"example.com/behind-the-sofa"
    return (
        b"subtree/v1\n\0"
        + bytes([len(name)])
        + name
        + time.to_bytes(8, "big")
        + bytes([len(origin)])
        + origin
        + bytes(8)
        + (20852163).to_bytes(8, "big")
        + root
    )


def test_a_witness_of_others_may_sign_with_ml_dsa(quantum_safe):
    key, vkey = quantum_safe
    line = Line(vkey.name, vkey.id, TIME.to_bytes(8, "big") + key.sign(_subtree(b"oid/1.2.3", TIME)))

    (said,) = cosignatures(Note(TEXT, (line,)), [Vkey.parse(vkey.text)])

    assert said.time == TIME


def test_ml_dsa_over_another_name_or_time_does_not_verify(quantum_safe):
    key, vkey = quantum_safe
    for message in (_subtree(b"oid/1.2.4", TIME), _subtree(b"oid/1.2.3", TIME + 1)):
        line = Line(vkey.name, vkey.id, TIME.to_bytes(8, "big") + key.sign(message))
        with pytest.raises(LedgerDamaged):
            cosignatures(Note(TEXT, (line,)), [vkey])
