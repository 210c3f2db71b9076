"""Single frames, shown and proven: they are what was sealed, where it was sealed, and nothing else is shown."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.tests.recordings import Maker
from recgate.errors import RecgateError, RecordingDamaged
from recgate.recording import disclosure
from recgate.recording.disclosure import prove, verify_proof
from recgate.recording.reader import Archive
from recgate.recording.report import Status
from recgate.recording.trust import Trust
from recgate.sansio.frames import CLIENT, UPSTREAM


@pytest.fixture
def maker(tmp_path) -> Maker:
    return Maker(tmp_path)


def recorded(maker: Maker) -> str:
    """Three segments; frame 0 is `opened`, the last one `closed`."""
    session, journal = maker.open()
    for segment in range(3):
        for n in range(7):
            journal.append(CLIENT, "query", b"select %d from segment%d" % (n, segment))
            journal.append(UPSTREAM, "row", b"secret-%d-%d" % (segment, n) * 50)
        maker.seal(session, journal, {"reason": "client closed"} if segment == 2 else None)
    return session


def test_chosen_frames_are_proven_and_the_rest_is_not_there(maker) -> None:
    session = recorded(maker)
    proof = prove(Archive(maker.store), session, [(1, 2), (16, 16)])
    proven = verify_proof(proof, maker.trust)
    assert proven.believed
    assert (proven.report.session, proven.report.gateway) == (session, "gate-1")
    assert [(frame.seq, frame.kind) for frame in proven.frames] == [(1, "query"), (2, "row"), (16, "row")]
    assert proven.frames[0].data == b"select 0 from segment0"
    assert b"secret-0-0" in proof
    assert b"secret-0-1" not in proof
    assert b"alice" not in proof


def test_every_frame_can_be_proven_by_itself(maker) -> None:
    session = recorded(maker)
    archive = Archive(maker.store)
    for frame in archive.frames(session):
        proven = verify_proof(prove(archive, session, [(frame.seq, frame.seq)]), maker.trust)
        assert proven.believed
        assert [(each.seq, each.data) for each in proven.frames] == [(frame.seq, frame.data)]


def test_a_gateway_that_nobody_trusts_proves_nothing(maker) -> None:
    proven = verify_proof(prove(Archive(maker.store), recorded(maker), [(1, 1)]), Trust())
    assert not proven.believed
    assert proven.report.status is Status.UNTRUSTED


def changed(proof: bytes, change) -> bytes:
    value = cbor2.loads(proof)
    change(value)
    return cbor2.dumps(value, canonical=True)


def frame_of(value, at=0):
    return cbor2.loads(value["frames"][at][1])


def put_frame(value, frame, at=0) -> None:
    value["frames"][at][1] = cbor2.dumps(frame, canonical=True)


def test_an_altered_frame_is_named(maker) -> None:
    proof = prove(Archive(maker.store), recorded(maker), [(1, 3)])
    for place, new in ((0, 5), (1, 7), (2, 1), (3, 0), (4, "note"), (5, bytes(16)), (6, b"select 9")):

        def alter(value, place=place, new=new) -> None:
            frame = frame_of(value, 1)
            frame[place] = new
            put_frame(value, frame, 1)

        proven = verify_proof(changed(proof, alter), maker.trust)
        assert not proven.believed
        assert proven.report.status is Status.ALTERED
        assert any("is not what was sealed" in each.what for each in proven.report.problems)


def test_a_seal_of_another_recording_does_not_fit(maker) -> None:
    one, other = recorded(maker), recorded(maker)
    archive = Archive(maker.store)
    proof, foreign = prove(archive, one, [(1, 1)]), cbor2.loads(prove(archive, other, [(1, 1)]))
    for key in ("seals", "frames", "header"):
        swapped = changed(proof, lambda value, key=key: value.update({key: foreign[key]}))
        assert not verify_proof(swapped, maker.trust).believed


def test_a_frame_of_another_place_does_not_fit(maker) -> None:
    proof = prove(Archive(maker.store), recorded(maker), [(1, 1), (16, 16)])

    def exchange(value) -> None:
        value["frames"][0][0], value["frames"][1][0] = value["frames"][1][0], value["frames"][0][0]

    def beyond(value) -> None:
        value["frames"][0][0] = 9

    def twice(value) -> None:
        value["frames"].append(value["frames"][0])

    def longer(value) -> None:
        value["frames"][0][2].append(bytes(32))

    def shorter(value) -> None:
        value["frames"][0][2].pop()

    for change in (exchange, beyond, twice, longer, shorter, lambda value: value["frames"].clear()):
        assert not verify_proof(changed(proof, change), maker.trust).believed


def test_a_seal_that_is_left_out_breaks_the_chain(maker) -> None:
    proof = prove(Archive(maker.store), recorded(maker), [(16, 16)])
    proven = verify_proof(changed(proof, lambda value: value["seals"].pop(0)), maker.trust)
    assert not proven.believed


@pytest.fixture(scope="module")
def proven_once(tmp_path_factory) -> tuple[Maker, bytes]:
    maker = Maker(tmp_path_factory.mktemp("proof"))
    return maker, prove(Archive(maker.store), recorded(maker), [(1, 2), (16, 16)])


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_altered_byte_is_believed_and_none_gives_another_error(proven_once, data) -> None:
    maker, proof = proven_once
    at = data.draw(st.integers(0, len(proof) - 1))
    mutation = data.draw(st.sampled_from(["flip", "cut", "drop", "double"]))
    if mutation == "flip":
        other = proof[:at] + bytes([proof[at] ^ data.draw(st.integers(1, 255))]) + proof[at + 1 :]
    else:
        other = {
            "cut": proof[:at],
            "drop": proof[:at] + proof[at + 1 :],
            "double": proof[:at] + proof[at : at + 1] + proof[at:],
        }[mutation]
    if other == proof:
        return
    try:
        proven = verify_proof(other, maker.trust)
    except RecordingDamaged:
        return
    assert not proven.believed


@given(st.binary(max_size=200))
def test_garbage_is_no_proof(garbage) -> None:
    with pytest.raises(RecordingDamaged):
        verify_proof(garbage, Trust())


def test_what_would_take_too_much_memory_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(disclosure, "MAX_ITEMS", 100)
    with pytest.raises(RecordingDamaged, match="more than 100 items"):
        verify_proof(b"\x98\xff" + bytes(255), Trust())


def test_frames_that_are_not_there_cannot_be_shown(maker) -> None:
    session = recorded(maker)
    with pytest.raises(RecgateError, match=r"frame 999 of .* is not sealed"):
        prove(Archive(maker.store), session, [(1, 1), (999, 999)])
    with pytest.raises(RecgateError, match="ask for fewer"):
        prove(Archive(maker.store), session, [(0, 20_000)])


def test_a_damaged_segment_is_not_proven(maker) -> None:
    session = recorded(maker)
    altered = Archive(maker.store).segments(session)[0]
    data = maker.store.get(session, altered)

    class Altered:
        def get(self, session: str, name: str) -> bytes:
            found = maker.store.get(session, name)
            return data.replace(data[-64:], bytes(64)) if name == altered else found

        def objects(self, session: str):
            return maker.store.objects(session)

        def sessions(self):
            return maker.store.sessions()

    proven = verify_proof(prove(Archive(Altered()), session, [(1, 1)]), maker.trust)
    assert not proven.believed
