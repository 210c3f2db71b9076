"""Reading recordings that anybody may have written: frames or `RecordingDamaged`, in bounded memory, nothing else."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path

import cbor2
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.tests.recordings import Maker, Shelf
from recgate.errors import RecordingDamaged, RecordingFailed
from recgate.ids import new_session_id
from recgate.recording.cbor import encode
from recgate.recording.commitments import salter
from recgate.recording.directory import RecordingDirectory
from recgate.recording.frames import RecordedFrame, encode_uint
from recgate.recording.limits import MAX_BLOCK, MAX_SEGMENT
from recgate.recording.reader import Archive
from recgate.recording.seal import read_header, read_seal
from recgate.recording.segment import Place, build_segment, read_segment
from recgate.recording.trust import Trust
from recgate.recording.verify import verify_session


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


def archive(maker):
    return Archive(maker.store, maker.journals, maker.wrapping)


def words(frames):
    return [frame.data for frame in frames if frame.kind == "F"]


def test_a_sealed_recording_is_read_across_segments(maker):
    session = maker.record([(0, "F", b"a"), (1, "B", b"b")], [(0, "F", b"c")], [(0, "F", b"d")])
    frames = list(archive(maker).frames(session))
    assert [frame.seq for frame in frames] == list(range(6))
    assert words(frames) == [b"a", b"c", b"d"]


@pytest.mark.parametrize("start", range(8))
def test_reading_begins_anywhere(maker, start):
    session = maker.record([(0, "F", b"a"), (1, "B", b"b")], [(0, "F", b"c")], [(0, "F", b"d")])
    assert [frame.seq for frame in archive(maker).frames(session, start)] == list(range(6))[start:]


def test_only_few_segments_are_looked_at_to_begin_late(maker, monkeypatch):
    session = maker.record(*[[(0, "F", bytes([n]))] for n in range(33)])
    got = []
    get = maker.store.get
    monkeypatch.setattr(maker.store, "get", lambda s, name: (got.append(name), get(s, name))[1])
    assert len(words(archive(maker).frames(session, 30))) == 4
    assert len(got) < 15


def test_a_time_is_found_by_segment(maker):
    session = maker.record(*[[(0, "F", bytes([n]))] for n in range(9)])
    reading = archive(maker)
    frames = list(reading.frames(session))
    for frame in frames:
        first = reading.seek(session, frame.t)
        assert first <= frame.seq
        assert frame.seq - first < 2 or frames[first].t == frame.t
    assert reading.seek(session, 0) == 0
    assert reading.seek(session, frames[-1].t + 10**9) == len(frames)


def test_a_live_recording_is_read_as_far_as_it_goes(maker):
    session, journal = maker.open()
    reading = archive(maker)
    journal.append(0, "F", b"sealed")
    maker.seal(session, journal)
    journal.append(0, "F", b"in a part")
    journal.rotate()
    journal.append(0, "F", b"current")
    assert words(reading.frames(session)) == [b"sealed", b"in a part", b"current"]
    journal.append(0, "F", b"later")
    assert words(reading.frames(session, 4)) == [b"later"]
    assert list(reading.frames(session, 5)) == []
    assert reading.unsealed() == [session]
    assert list(reading.sessions()) == [session]
    journal.release()


def test_a_part_that_is_sealed_while_it_is_read_is_found_in_the_store(maker):
    session, journal = maker.open()
    for n in range(3):
        journal.append(0, "F", bytes([n]))
        journal.rotate()
    reading = archive(maker)
    frames = reading.frames(session)
    assert next(frames).kind == "opened"
    maker.seal(session, journal, {"reason": "x"})
    rest = list(frames)
    assert [frame.seq for frame in rest] == [1, 2, 3, 4]
    assert rest[-1].kind == "closed"


def test_without_the_key_a_live_recording_is_not_readable_and_says_why(maker):
    session, journal = maker.open()
    with pytest.raises(RecordingFailed, match="own user alone"):
        list(Archive(maker.store, maker.journals).frames(session))
    journal.release()


def test_a_missing_segment_is_named(maker):
    session = maker.record([(0, "F", b"a")], [(0, "F", b"b")], [(0, "F", b"c")])
    shelf = maker.shelf(session)
    del shelf.content[session]["000002.seg"]
    frames = Archive(shelf).frames(session)
    assert [next(frames).kind for _ in range(2)] == ["opened", "F"]
    with pytest.raises(RecordingDamaged, match=r"000003\.seg: frame 2 is missing"):
        next(frames)


def test_nothing_is_read_for_a_session_that_is_not_there(maker):
    assert list(archive(maker).frames(new_session_id())) == []
    assert list(archive(maker).frames("../../etc")) == []


def sealed(frames, key=None):
    place = Place(bytes(16), 1, bytes(32))
    key = key or Ed25519PrivateKey.generate()
    return build_segment(place, frames, key, wall=1, following=bytes(32))[0]


def some_frames(count=3):
    salt = salter(bytes(32))
    return [RecordedFrame(n, n, 0, 0, "F", bytes([n]) * 50, salt(n)) for n in range(count)]


WHOLE = sealed(some_frames(), Ed25519PrivateKey.from_private_bytes(bytes(32)))
OPENING = encode([1, 1, bytes(32), [], []])
SEAL = WHOLE[WHOLE.rindex(b"\x82\x03\xd2") :]


def block(content, number=0):
    return b"\x83\x02" + encode_uint(number) + encode_uint(len(content), 0x40) + content


def read_all(data):
    """Whatever reads a segment: takes it apart, and every frame."""
    return list(read_segment(data).frames())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        OPENING,
        OPENING + SEAL,
        OPENING + block(b"", 0) + SEAL,
        OPENING + block(b"x", 1) + SEAL,
        OPENING + b"\x83\x02\x18\x00" + block(b"x")[3:] + SEAL,
        OPENING + b"\x83\x02\x00\x5b\xff\xff\xff\xff\xff\xff\xff\xff" + SEAL,
        OPENING + b"\x83\x02\x00\x5f\x41\x00\xff" + SEAL,
        OPENING + b"\x83\x04\x00\x41\x00" + SEAL,
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 100_000,
        b"\xd2" * 100_000,
        b"\xc6" * 100_000,
        encode([1, 1, bytes(32), [b"recipient"], []]) + WHOLE[len(OPENING) :],
        encode([1, 2, bytes(32), [], []]) + WHOLE[len(OPENING) :],
        encode([1, 1, bytes(31), [], []]) + WHOLE[len(OPENING) :],
        encode([1, "1", bytes(32), [], []]) + WHOLE[len(OPENING) :],
        WHOLE + b"\0",
        WHOLE + WHOLE,
        WHOLE[:-1],
    ],
)
def test_what_is_no_segment_is_refused(data):
    with pytest.raises(RecordingDamaged):
        read_all(data)


def zeros(size):
    """A block of one frame of so many zeros: well-formed, and a few kilobytes."""
    content = encode([0, 0, 0, 0, "F", bytes(16), bytes(size)])
    return zstandard.ZstdCompressor(level=1).compress(content)


FRAME = encode([0, 0, 0, 0, "F", bytes(16), b"data"])


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("above the limit", zeros(MAX_BLOCK)),
        ("without its size", zstandard.ZstdCompressor(write_content_size=False).compress(FRAME)),
        ("with something behind it", zstandard.compress(FRAME) + b"tail"),
        ("with a frame of Zstandard behind it", zstandard.compress(FRAME) * 2),
        ("cut off", zeros(100_000)[:-4]),
        ("of nothing", zstandard.compress(b"")),
    ],
)
def test_a_block_that_is_not_what_it_declares_is_refused_before_it_grows(what, content):
    tracemalloc.start()
    try:
        with pytest.raises(RecordingDamaged, match="block 0"):
            read_all(OPENING + block(content) + SEAL)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_many_blocks_that_are_each_within_the_limit_are_one_bomb():
    content = zeros(30 << 20)
    data = OPENING + b"".join(block(content, number) for number in range(10)) + SEAL
    assert len(data) < 1 << 20
    given: list[int] = []
    with pytest.raises(RecordingDamaged, match="the limit is"):
        given.extend(len(frame.data) for frame in read_segment(data).frames())
    assert sum(given) <= MAX_SEGMENT


def test_a_block_of_many_tiny_items_is_refused_before_they_are_made():
    content = zstandard.compress(b"\x80" * (8 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(RecordingDamaged):
            read_all(OPENING + block(content) + SEAL)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_segment_above_its_limit_is_refused(tmp_path):
    with pytest.raises(RecordingDamaged, match="above the limit"):
        read_segment(bytes(MAX_SEGMENT + 1))
    session = new_session_id()
    place = tmp_path / session
    place.mkdir()
    (place / "header.cbor").write_bytes(b"x")
    with open(place / "000001.seg", "wb") as file:
        file.truncate(MAX_SEGMENT + 1)
    with pytest.raises(RecordingDamaged, match="longer than any segment"):
        list(Archive(RecordingDirectory(tmp_path)).frames(session))


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_an_object_that_is_no_file_is_not_followed(tmp_path, kind):
    session = new_session_id()
    place = tmp_path / session
    place.mkdir()
    if kind == "link":
        (place / "000001.seg").symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(place / "000001.seg")
    else:
        (place / "000001.seg").mkdir()
    with pytest.raises(RecordingDamaged):
        list(Archive(RecordingDirectory(tmp_path)).frames(session))
    assert not verify_session(session, RecordingDirectory(tmp_path), Maker(tmp_path / "m").trust).ok


def test_a_large_frame_is_a_block_of_its_own():
    frames = some_frames(2)
    frames.insert(1, RecordedFrame(1, 1, 0, 0, "F", os.urandom(3 << 20), bytes(16)))
    frames[2].seq = 2
    segment = read_segment(sealed(frames))
    assert len(segment.blocks) == 3
    assert list(segment.frames()) == frames


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_mangled_segment_is_damaged_or_the_same(data):
    """Flip, cut, repeat, insert: it never reads as another recording, and raises nothing but `RecordingDamaged`."""
    mangled = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(mangled) - 1, 0)))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "repeat", "drop"])):
            case "flip" if mangled:
                mangled[at] ^= data.draw(st.integers(1, 255))
            case "cut":
                del mangled[at:]
            case "insert":
                mangled[at:at] = data.draw(st.binary(min_size=1, max_size=9))
            case "repeat":
                mangled[at:at] = mangled[at : at + 20]
            case _:
                del mangled[at : at + data.draw(st.integers(1, 30))]
    try:
        read_all(bytes(mangled))
    except RecordingDamaged:
        return


ITEMS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.binary(max_size=40)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=9) | st.integers(), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(
    st.binary(max_size=300)
    | ITEMS.map(cbor2.dumps)
    | ITEMS.map(lambda item: cbor2.dumps(cbor2.CBORTag(18, item)))
)
def test_what_is_no_header_or_seal_is_damage(data):
    for read in (read_header, read_seal, read_all):
        with pytest.raises(RecordingDamaged):
            read(data)


@pytest.mark.parametrize("name", ["header.cbor", "000001.seg"])
@given(data=st.binary(max_size=300))
@settings(max_examples=60)
def test_verify_reports_garbage_and_never_raises(name, data):
    session, shelf = new_session_id(), Shelf()
    shelf.content[session] = {"header.cbor": b"", "000001.seg": WHOLE, name: data}
    assert not verify_session(session, shelf, Trust([("gate-1", bytes(32))])).ok


def test_a_copy_of_a_store_is_read_in_any_of_its_shapes(maker, tmp_path):
    session = maker.record([(0, "F", b"a")])
    place = maker.store.place(session)
    flat = tmp_path / "copy" / session
    flat.parent.mkdir()
    shutil.copytree(place, flat)
    for root in (maker.store.root, flat.parent, flat):
        directory = RecordingDirectory(Path(root))
        assert list(directory.sessions()) == [session]
        assert verify_session(session, directory, maker.trust).ok
