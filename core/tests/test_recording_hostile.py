"""Notes, wraps and shares that anybody may have written: refused by their own error, or the same when written again."""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from core.tests.logs_and_witnesses import SmallLog
from recgate.errors import AccessDenied, LedgerDamaged, RecordingDamaged, RecordingSealed
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.cosignature import cosign, cosignatures, witness_key
from recgate.ledger.note import MAX_NOTE, Note, Vkey, parse_note
from recgate.model import Secret
from recgate.recipients.escrow import Escrow, Share, opened, permit_of, read_escrowed
from recgate.recipients.keyring import Keyring
from recgate.recipients.keys import Identity
from recgate.recipients.wrapping import ORIGINALS, Context, read_wraps, wrapped_key
from recgate.recording.cbor import decode_strict, encode
from recgate.recording.segment import read_segment

LOG = SmallLog(count=5)
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32)
W = witness_key("witness.example/w", WITNESS)
GENUINE = parse_note(LOG.checkpoint())
COSIGNED = Note(GENUINE.text, (*GENUINE.lines, cosign(GENUINE.text, W.name, WITNESS, 1_800_000_000))).encode()
SESSION = bytes(16)
CONTEXT = Context(SESSION, 1)
ERASURE = Secret(bytes(32))
ANN, BEA = Identity.generate(), Identity.generate()
WRAPS = [wrap.to_cbor() for wrap in wrapped_key(CONTEXT, [ANN.recipient, BEA.recipient], ERASURE)[1]]
ESCROW = Escrow((ANN.recipient, BEA.recipient), 2, Secret(bytes(32)))
SHARED = ESCROW.made(SESSION, 1, ERASURE)[1].to_cbor()

small = st.none() | st.booleans() | st.integers(-1, 1 << 70) | st.binary(max_size=40) | st.text(max_size=5)
anything = st.recursive(small, lambda inner: st.lists(inner, max_size=4), max_leaves=20)


def mutated(data: bytes, draw: st.DataObject) -> bytes:
    at = draw.draw(st.integers(0, len(data)))
    length = draw.draw(st.integers(0, 8))
    return data[:at] + draw.draw(st.binary(max_size=8)) + data[at + length :]


@given(st.data())
def test_a_mutated_note_is_refused_or_is_the_same_when_written_again(draw):
    data = mutated(COSIGNED, draw)
    try:
        note = parse_note(data)
    except LedgerDamaged:
        return
    assert note.encode() == data  # one form, so nobody reads another note than was signed
    try:
        text = note.verified(LOG.vkey)
        said = cosignatures(note, [W])
    except LedgerDamaged:
        return
    assert text == GENUINE.text
    assert parse_checkpoint(text) == LOG.head()
    assert [(each.time, each.witness) for each in said] in ([], [(1_800_000_000, W)])


@given(st.text(max_size=60), st.sampled_from([LOG.vkey.text, W.text]), st.data())
def test_a_mutated_key_is_refused_or_the_same(before, genuine, draw):
    text = mutated(genuine.encode(), draw).decode(errors="replace")
    for each in (before, text):
        try:
            assert Vkey.parse(each).text == each
        except LedgerDamaged:
            continue


@pytest.mark.parametrize(
    "unit", [b"\n", "\u2014 ".encode(), b"\n\n", "\u2014 a AAAA\n".encode(), b"+", b"\xff"]
)
def test_a_note_of_the_largest_size_is_refused_at_once(unit):
    for head in (b"", COSIGNED, b"a\n1\n\n"):
        with pytest.raises(LedgerDamaged):
            parse_note(head + unit * ((MAX_NOTE - len(head)) // len(unit)))


@given(anything)
def test_wraps_of_any_shape_are_refused_or_the_same(value):
    for read in (read_wraps, read_escrowed):
        try:
            found = read(value, "they")
        except RecordingDamaged:
            continue
        if isinstance(found, tuple):
            assert [wrap.to_cbor() for wrap in found] == value
        else:
            assert (found.to_cbor() if found is not None else []) == value


@given(st.data())
def test_mutated_wraps_open_to_the_same_key_or_not_at_all(draw):
    data = mutated(encode(WRAPS), draw)
    genuine = Keyring([ANN], Known()).cipher(CONTEXT, read_wraps(WRAPS, "they")).encrypt(0, b"x")
    try:
        wraps = read_wraps(decode_strict(data, "they"), "they")
        cipher = Keyring([ANN], Known()).cipher(CONTEXT, wraps)
    except (RecordingDamaged, RecordingSealed):
        return
    assert cipher.decrypt(0, genuine) == b"x"


@given(st.data())
def test_a_mutated_share_opens_to_the_same_or_not_at_all(draw):
    context = Context(SESSION, 1, ORIGINALS)
    permit = permit_of(ESCROW.key, context, ANN.recipient.id)
    genuine = read_escrowed(SHARED, "they")
    assert genuine is not None
    share = opened(genuine, context, ANN, permit)
    try:
        found = read_escrowed(decode_strict(mutated(encode(SHARED), draw), "they"), "they")
        again = opened(found, context, ANN, permit) if found is not None else share
    except (RecordingDamaged, RecordingSealed):
        return
    except AccessDenied:
        return  # the commitment was changed, and nobody can say whether the permit was another's
    assert again.encode() == share.encode()


@given(st.binary(max_size=40))
def test_a_share_is_read_in_one_form(data):
    try:
        assert Share.decode(data).encode() == data
    except ValueError:
        return


@given(st.lists(small | st.just(WRAPS) | st.just(SHARED), min_size=3, max_size=6), st.binary(max_size=60))
def test_a_segment_with_any_opening_is_refused(opening, rest):
    with pytest.raises(RecordingDamaged):
        read_segment(cbor2.dumps([1, *opening], canonical=True) + rest)
    with pytest.raises(RecordingDamaged):
        read_segment(encode([1, 1, bytes(32), WRAPS, SHARED]) + rest)


class Known:
    def find(self, session):
        return ERASURE
