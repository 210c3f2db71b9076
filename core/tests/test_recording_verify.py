"""The tamper matrix of one recording: every change is seen, and its place is named."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.recordings import Maker
from recgate.ids import new_session_id
from recgate.recording.commitments import merkle_root
from recgate.recording.cose import SEAL_TYPE, sign
from recgate.recording.seal import Recovered, read_header, sign_header, sign_seal
from recgate.recording.segment import Place, build_segment, read_segment
from recgate.recording.trust import Trust
from recgate.recording.verify import Answer, Status, verify_all, verify_session

HEADER, ONE, TWO, THREE = "header.cbor", "000001.seg", "000002.seg", "000003.seg"


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


def three(maker):
    """A recording of three segments, on a shelf to tamper with; gives its id, the shelf and its objects."""
    session = maker.record(
        [(0, "F", b"select 1"), (1, "B", b"row" * 100)],
        [(0, "F", b"second"), (1, "B", os.urandom(70_000)), (1, "B", b"tail")],
        [(0, "F", b"third")],
        end={"reason": "client-closed", "wire": {"client": {"frames": 3, "bytes": 19}}},
    )
    shelf = maker.shelf(session)
    return session, shelf, shelf.content[session]


def problems(report):
    return [(each.where, each.what) for each in report.problems]


def test_an_untouched_recording_is_complete(maker):
    session, shelf, objects = three(maker)
    report = verify_session(session, shelf, maker.trust)
    assert problems(report) == []
    assert report.status is Status.COMPLETE
    assert report.ok
    assert report.levels == {
        "file": Answer.OK,
        "logged": Answer.UNAVAILABLE,
        "complete": Answer.UNAVAILABLE,
        "witnessed": Answer.UNAVAILABLE,
        "contents": Answer.OK,
    }
    assert (report.segments, report.frames, report.reason) == (3, 8, "client-closed")
    assert report.stored == sum(map(len, objects.values()))
    assert report.as_json()["status"] == "complete"


@pytest.mark.parametrize("name", [HEADER, ONE, TWO, THREE])
@pytest.mark.parametrize("place", [0, 0.05, 0.3, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("contents", [True, False])
def test_a_flipped_bit_is_seen_anywhere(maker, name, place, contents):
    session, shelf, objects = three(maker)
    data = bytearray(objects[name])
    data[int(place * len(data))] ^= 1
    objects[name] = bytes(data)
    report = verify_session(session, shelf, maker.trust, contents=contents)
    assert report.status in (Status.ALTERED, Status.UNTRUSTED)
    assert not report.ok
    # The key's id is part of the header: another one is somebody we do not know.
    assert report.status is Status.ALTERED or name == HEADER
    assert report.problems[0].where.startswith(name)


def test_every_single_bit_of_a_small_recording_counts(maker):
    session = maker.record([(0, "F", b"x")])
    shelf = maker.shelf(session)
    objects = shelf.content[session]
    for name, whole in list(objects.items()):
        for position in range(len(whole)):
            data = bytearray(whole)
            data[position] ^= 1 << position % 8
            objects[name] = bytes(data)
            assert not verify_session(session, shelf, maker.trust).ok, (name, position)
        objects[name] = whole
    assert verify_session(session, shelf, maker.trust).ok


@pytest.mark.parametrize(
    ("name", "where"),
    [(HEADER, HEADER), (ONE, ONE), (TWO, TWO)],
)
def test_a_missing_object_is_named(maker, name, where):
    session, shelf, objects = three(maker)
    del objects[name]
    report = verify_session(session, shelf, maker.trust)
    assert report.status is Status.ALTERED
    assert report.problems[0].where == where
    assert report.problems[0].what.startswith("missing")


def test_several_missing_segments_are_named_together(maker):
    session, shelf, objects = three(maker)
    del objects[ONE], objects[TWO]
    assert problems(verify_session(session, shelf, maker.trust)) == [
        ("000001.seg to 000002.seg", "missing, though later segments are there")
    ]


def test_a_dropped_tail_is_incomplete(maker):
    session, shelf, objects = three(maker)
    del objects[THREE]
    report = verify_session(session, shelf, maker.trust)
    assert report.status is Status.INCOMPLETE
    assert report.levels["file"] is Answer.FAILED
    assert problems(report) == [("the end", "there is none: whatever came behind frame 5 is missing")]
    del objects[ONE], objects[TWO]
    report = verify_session(session, shelf, maker.trust)
    assert problems(report) == [("the end", "there is none: whatever came from frame 0 on is missing")]


def test_a_dropped_session_is_missing(maker):
    session, shelf, _ = three(maker)
    del shelf.content[session]
    assert verify_session(session, shelf, maker.trust).status is Status.MISSING
    assert verify_session("../../etc/passwd", shelf, maker.trust).status is Status.MISSING


@pytest.mark.parametrize("cut", [1, 3, 100, 0.5, 0.9])
@pytest.mark.parametrize("name", [HEADER, ONE, TWO, THREE])
def test_a_truncated_object_is_seen(maker, name, cut):
    session, shelf, objects = three(maker)
    size = len(objects[name])
    objects[name] = objects[name][: size - (cut if cut >= 1 else int(size * cut))]
    report = verify_session(session, shelf, maker.trust)
    assert report.status is Status.ALTERED
    assert report.problems[0].where.startswith(name)


@pytest.mark.parametrize("name", [HEADER, ONE, TWO, THREE])
def test_appended_garbage_is_seen(maker, name):
    session, shelf, objects = three(maker)
    objects[name] += b"\0"
    report = verify_session(session, shelf, maker.trust)
    assert report.status is Status.ALTERED
    assert report.problems[0].where.startswith(name)


def test_swapped_segments_are_seen(maker):
    session, shelf, objects = three(maker)
    objects[ONE], objects[TWO] = objects[TWO], objects[ONE]
    report = verify_session(session, shelf, maker.trust)
    assert report.status is Status.ALTERED
    assert {each.where.split()[0] for each in report.problems} >= {ONE, TWO}
    assert ("000001.seg (frames 3 to 5)", "was sealed as segment 2") in problems(report)


def test_a_segment_of_another_session_is_seen(maker):
    session, shelf, objects = three(maker)
    _, _, others = three(maker)
    objects[TWO] = others[TWO]
    report = verify_session(session, shelf, maker.trust)
    assert ("000002.seg (frames 3 to 5)", "is of another session") in problems(report)


def test_swapped_sessions_are_seen(maker):
    session, shelf, objects = three(maker)
    other, _, others = three(maker)
    shelf.content = {session: others, other: objects}
    reports = list(verify_all(shelf, maker.trust))
    assert [each.status for each in reports] == [Status.ALTERED] * 2
    assert ("header.cbor", "is of another session") in problems(reports[0])


def test_a_repeated_segment_is_seen(maker):
    session, shelf, objects = three(maker)
    objects["000004.seg"] = objects[THREE]
    report = verify_session(session, shelf, maker.trust)
    assert ("000004.seg", "follows 000003.seg, which ended the recording") in problems(report)


@pytest.mark.parametrize("name", ["000004.seg.bak", "notes.txt", "1.seg", "\u202egpj.exe"])
def test_an_object_that_does_not_belong_is_seen(maker, name):
    session, shelf, objects = three(maker)
    objects[name] = b"anything"
    report = verify_session(session, shelf, maker.trust)
    assert report.status is Status.ALTERED
    assert repr(name) in report.problems[0].where or name in report.problems[0].where


def resealed(data, place, frames, key, **changes):
    """What an attacker with `key` could make of a segment."""
    old = read_segment(data).seal
    facts = {"wall": old.wall, "following": old.next, "end": old.end, **changes}
    return build_segment(place, frames, key, **facts)[0]


@pytest.mark.parametrize("edit", ["drop", "insert", "reorder", "change", "channel", "time"])
def test_a_segment_signed_anew_by_the_identity_key_is_seen(maker, edit):
    """Who steals the gateway's keys later cannot sign again what was."""
    session, shelf, objects = three(maker)
    segment = read_segment(objects[TWO])
    frames = list(segment.frames())
    if edit == "drop":
        frames = [replace(frames[0], seq=3), replace(frames[2], seq=4)]
    elif edit == "insert":
        frames.append(replace(frames[-1], seq=6))
    elif edit == "reorder":
        frames = [replace(frame, seq=3 + n) for n, frame in enumerate(reversed(frames))]
    else:
        new = {"change": {"data": b"never said"}, "channel": {"channel": 9}, "time": {"t": frames[0].t + 1}}[
            edit
        ]
        frames[0] = replace(frames[0], **new)
    objects[TWO] = resealed(objects[TWO], segment.place, frames, maker.identity)
    report = verify_session(session, shelf, maker.trust, contents=False)
    assert report.status is Status.ALTERED
    assert "is not signed by the key that the item before it names" in report.problems[0].what
    assert report.problems[0].where.startswith(TWO)


def test_content_behind_a_genuine_seal_is_seen(maker):
    session, shelf, objects = three(maker)
    segment = read_segment(objects[TWO])
    frames = list(segment.frames())
    frames[0] = replace(frames[0], data=b"forged")
    forged = resealed(objects[TWO], segment.place, frames, maker.identity)
    seal_at = objects[TWO].rindex(b"\x82\x03\xd2")
    objects[TWO] = forged[: forged.rindex(b"\x82\x03\xd2")] + objects[TWO][seal_at:]
    report = verify_session(session, shelf, maker.trust, contents=False)
    assert problems(report) == [("000002.seg (frames 3 to 5)", "its content is not what was sealed")]
    report = verify_session(session, shelf, maker.trust)
    assert report.levels["contents"] is Answer.FAILED


def test_a_recovery_cannot_be_forged_onto_a_living_chain(maker):
    """The identity key alone, stolen: a tail that it signs says `recovered`, and what was sealed stays as it was."""
    session, shelf, objects = three(maker)
    segment = read_segment(objects[THREE])
    lost = read_segment(objects[TWO]).seal.next or b""
    frames = [replace(frame, data=b"fake!") if frame.kind == "F" else frame for frame in segment.frames()]
    objects[THREE] = resealed(
        objects[THREE],
        segment.place,
        frames,
        maker.identity,
        following=None,
        recovered=Recovered(lost, "crash", 0),
    )
    assert verify_session(session, shelf, maker.trust).status is Status.RECOVERED
    objects[THREE] = resealed(
        objects[THREE],
        segment.place,
        frames,
        maker.identity,
        following=None,
        recovered=Recovered(bytes(32), "x", 0),
    )
    assert "names another lost key" in verify_session(session, shelf, maker.trust).problems[0].what
    stranger = Ed25519PrivateKey.generate()
    objects[THREE] = resealed(
        objects[THREE], segment.place, frames, stranger, following=None, recovered=Recovered(lost, "crash", 0)
    )
    assert verify_session(session, shelf, maker.trust).status is Status.UNTRUSTED


def test_a_recovery_by_another_gateway_is_seen(maker, tmp_path):
    other = Maker(tmp_path / "other", "gate-2")
    session, shelf, objects = three(maker)
    segment = read_segment(objects[THREE])
    lost = read_segment(objects[TWO]).seal.next or b""
    objects[THREE] = resealed(
        objects[THREE],
        segment.place,
        list(segment.frames()),
        other.identity,
        following=None,
        recovered=Recovered(lost, "crash", 0),
    )
    both = Trust([("gate-1", public(maker)), ("gate-2", public(other))])
    assert "another gateway" in verify_session(session, shelf, both).problems[0].what


def test_a_gateway_that_signs_in_the_name_of_another_is_seen(tmp_path):
    impostor = Maker(tmp_path / "one", "gate-2")
    session = impostor.record([(0, "line", b"x")])
    shelf, key = impostor.shelf(session), public(impostor)
    other = Maker(tmp_path / "other", "gate-2")

    both = Trust([("gate-1", key), ("gate-2", public(other))])
    report = verify_session(session, shelf, both)
    assert report.status is Status.ALTERED
    assert report.problems[0].what == "says that it is of gate-2, and is signed by the key of gate-1"

    renamed = Trust([("gate-1", key), ("gate-3", public(other))])
    assert verify_session(session, shelf, renamed).status is Status.COMPLETE


def public(maker):
    return maker.identity.public_key().public_bytes_raw()


def test_without_trust_nothing_is_believed(maker):
    session, shelf, _ = three(maker)
    report = verify_session(session, shelf, Trust())
    assert report.status is Status.UNTRUSTED
    assert report.key.startswith("SHA256:")
    assert report.key in report.problems[0].what


def test_a_header_signed_by_somebody_else_is_untrusted(maker):
    session, shelf, objects = three(maker)
    header, _ = read_header(objects[HEADER])
    objects[HEADER] = sign_header(header, Ed25519PrivateKey.generate())
    report = verify_session(session, shelf, maker.trust)
    assert report.status is Status.ALTERED  # the chain behind it still names the header that was there
    assert "not among the trusted keys" in report.problems[0].what
    assert problems(report)[1] == ("000001.seg (frames 0 to 2)", "does not follow the item before it")


def test_a_seal_is_no_header_and_a_header_is_no_seal(maker):
    session, shelf, objects = three(maker)
    _, signed = read_header(objects[HEADER])
    objects[HEADER] = cbor2.dumps(sign(maker.identity, SEAL_TYPE, signed.payload, named=True), canonical=True)
    assert verify_session(session, shelf, maker.trust).status is Status.ALTERED


class Insider:
    """A gateway with a bug: it signs whatever it is given with keys that are all in order."""

    def __init__(self, maker):
        self.maker = maker
        self.session = maker.record([(0, "F", b"one"), (1, "B", b"two")])
        self.objects = (shelf := maker.shelf(self.session)).content[self.session]
        self.shelf = shelf
        self.header = read_header(self.objects[HEADER])[0]
        self.segment = read_segment(self.objects[ONE])

    def verify(self, frames, **header):
        key = Ed25519PrivateKey.generate()
        signed = sign_header(
            replace(self.header, key=key.public_key().public_bytes_raw(), **header), self.maker.identity
        )
        place = Place(self.segment.place.session, 1, sha256(signed).digest())
        self.objects[HEADER], self.objects[ONE] = signed, resealed(self.objects[ONE], place, frames, key)
        return verify_session(self.session, self.shelf, self.maker.trust)


def test_an_insider_who_changes_nothing_is_believed(maker):
    insider = Insider(maker)
    assert insider.verify(list(insider.segment.frames())).ok


def test_frame_0_must_be_the_one_that_the_header_commits_to(maker):
    insider = Insider(maker)
    report = insider.verify(list(insider.segment.frames()), opened=bytes(32))
    assert problems(report) == [("frame 0", "is not the one that the header commits to")]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"t": 0}, "runs backwards"),
        ({"seq": 7}, "frame 7 stands where frame 2 belongs"),
    ],
)
def test_frames_must_be_in_order(maker, change, what):
    insider = Insider(maker)
    frames = list(insider.segment.frames())
    for frame in frames[1:]:
        frame.t = frames[0].t + 10 * frame.seq
    frames[2] = replace(frames[2], **change)
    report = insider.verify(frames)
    assert report.levels["contents"] is Answer.FAILED
    assert what in report.problems[-1].what


def test_a_recording_begins_and_ends_as_it_must(maker):
    insider = Insider(maker)
    frames = list(insider.segment.frames())
    report = insider.verify([replace(frames[0], kind="note"), *frames[1:]])
    assert ("frame 0", "does not say who opened the session") in problems(report)
    report = insider.verify([*frames[:3], replace(frames[3], kind="note")])
    assert "not with the session's end" in report.problems[0].what


def test_an_unprotected_header_that_nobody_signed_is_refused(maker):
    session, shelf, objects = three(maker)
    tag = cbor2.loads(objects[HEADER])
    protected, _, payload, signature = tag.value
    objects[HEADER] = cbor2.dumps(
        cbor2.CBORTag(18, [protected, {4: b"me"}, payload, signature]), canonical=True
    )
    report = verify_session(session, shelf, maker.trust)
    assert problems(report)[0] == (HEADER, "a COSE_Sign1 has an unprotected header, which nobody signed")


def test_the_end_must_count_what_is_there(maker):
    session, shelf, objects = three(maker)
    segment = read_segment(objects[THREE])
    assert segment.seal.end is not None
    end = replace(segment.seal.end, counters={"recorded": {"client": {"frames": 1, "bytes": 1}}})
    # Only the gateway itself could sign this: a bug of ours must be seen as well.
    key = Ed25519PrivateKey.generate()
    two = read_segment(objects[TWO])
    objects[TWO] = resealed(
        objects[TWO], two.place, list(two.frames()), key, following=key.public_key().public_bytes_raw()
    )
    after = Place(segment.place.session, 3, read_segment(objects[TWO]).seal_digest)
    objects[THREE] = resealed(objects[THREE], after, list(segment.frames()), key, end=end)
    found = verify_session(session, shelf, maker.trust)
    assert ("the end", "counts (1, 1) of client where (3, 19) are sealed") in problems(found)


def test_bytes_that_went_unrecorded_make_it_incomplete(maker):
    session = maker.record(
        [(0, "F", b"1234")], end={"reason": "x", "wire": {"client": {"frames": 2, "bytes": 10}}}
    )
    report = verify_session(session, maker.store, maker.trust)
    assert report.status is Status.INCOMPLETE
    assert problems(report) == [("the end", "6 bytes of client went over the wire and are not recorded")]


def test_a_recovered_recording_says_so(maker):
    session, journal = maker.open()
    journal.append(0, "F", b"one")
    maker.seal(session, journal)
    journal.append(0, "F", b"two")
    journal.release()
    report = verify_session(session, maker.store, maker.trust, journal=maker.journals)
    assert report.status is Status.UNSEALED
    assert verify_session(session, maker.store, maker.trust).status is Status.INCOMPLETE
    assert maker.recover(session).status == "recovered"
    report = verify_session(session, maker.store, maker.trust, journal=maker.journals)
    assert problems(report) == []
    assert report.status is Status.RECOVERED
    assert report.ok
    assert report.reason == "the gateway died"


def test_what_is_only_in_the_journal_is_unsealed(maker):
    session, journal = maker.open()
    done = maker.record([])
    reports = {each.session: each for each in verify_all(maker.store, maker.trust, journal=maker.journals)}
    assert {done: Status.COMPLETE, session: Status.UNSEALED} == {
        key: each.status for key, each in reports.items()
    }
    assert not reports[session].ok
    journal.release()


def test_an_unknown_session_is_not_a_path(maker):
    assert verify_session(new_session_id(), maker.store, maker.trust).status is Status.MISSING


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 100])
def test_the_root_is_that_of_rfc_6962(size):
    """Against the RFC's own recursive definition."""

    def recursive(leaves):
        if len(leaves) == 1:
            return leaves[0]
        k = 1
        while k * 2 < len(leaves):
            k *= 2
        return sha256(b"\x01" + recursive(leaves[:k]) + recursive(leaves[k:])).digest()

    leaves = [sha256(bytes([0, n])).digest() for n in range(size)]
    assert merkle_root(leaves) == recursive(leaves)


def test_seals_are_the_same_bytes_when_made_again(maker):
    _, _, objects = three(maker)
    seal = read_segment(objects[TWO]).seal
    key = Ed25519PrivateKey.generate()
    assert sign_seal(seal, key) == sign_seal(seal, key)


def test_an_auditor_who_may_not_see_the_journal_can_verify(maker, tmp_path):
    """As another user than the gateway's: what is private stays so, and nothing is raised."""
    session = maker.record([(0, "F", b"x")])
    maker.journals.chmod(0o700)
    for path in (maker.store.place(session), *maker.store.place(session).parents[:-1]):
        path.chmod(path.stat().st_mode | 0o055)
    for path in maker.store.place(session).iterdir():
        path.chmod(0o444)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from recgate.recording.directory import RecordingDirectory\n"
        "from recgate.recording.trust import Trust\n"
        "from recgate.recording.verify import verify_all\n"
        "store, journal, key = sys.argv[1:]\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "trust = Trust([('gate-1', bytes.fromhex(key))])\n"
        "reports = verify_all(RecordingDirectory(Path(store)), trust, journal=Path(journal))\n"
        "print([str(each.status) for each in reports])\n"
    )
    command = [sys.executable, "-c", code, str(maker.store.root), str(maker.journals), public(maker).hex()]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr) == ("['complete']\n", "")
