"""The journal: what was accepted is on disk, what was torn is cut, and a full disk can still end a session."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from core.tests import disks
from recgate.errors import RecordingDamaged, RecordingFailed
from recgate.ids import new_session_id
from recgate.recording.journal import Journal
from recgate.recording.journalfiles import (
    CLOSING_OFFSET,
    HEAD_BYTES,
    part_name,
    parts_of,
    read_closing,
    read_head,
    read_part,
    read_state,
    write_state,
)
from recgate.recording.limits import MAX_DATA, MAX_STATE
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame

WRAPPING = bytes(range(32))


@pytest.fixture
def journal(tmp_path):
    journal = Journal.create(tmp_path, new_session_id(), WRAPPING, synced=False)
    yield journal
    journal.release()


def frames_of(journal):
    keys = read_head(journal.directory, WRAPPING)
    return [
        frame
        for part in parts_of(journal.directory)
        for frame in read_part(journal.directory, part, keys).frames
    ]


def fill(journal):
    """Append until the disk takes no more; gives how many frames it took, and what was said."""
    accepted = 0
    try:
        while True:
            journal.append(CLIENT, "F", os.urandom(50_000))
            accepted += 1
    except RecordingFailed as failure:
        return accepted, str(failure)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two MiB, of its own."""
    with disks.small_disk(tmp_path / "small", "2m") as place:
        yield place


def test_a_frame_is_on_disk_when_append_returns(journal):
    journal.append(CLIENT, "F", b"question", 3)
    (frame,) = frames_of(journal)
    assert (frame.seq, frame.channel, frame.side, frame.kind, frame.data) == (0, 3, 0, "F", b"question")


def test_one_append_is_one_write(journal, monkeypatch):
    calls = []
    write, writev = os.write, os.writev
    monkeypatch.setattr("os.write", lambda *call: (calls.append("write"), write(*call))[1])
    monkeypatch.setattr("os.writev", lambda *call: (calls.append("writev"), writev(*call))[1])
    journal.append(CLIENT, "F", b"x" * 100)
    journal.append(UPSTREAM, "B", b"x" * 100_000)
    journal.append_all([Frame(UPSTREAM, "B", b"y"), Frame(UPSTREAM, "B", b"z", channel=5)])
    assert calls == ["write", "writev", "write"]
    assert [frame.seq for frame in frames_of(journal)] == [0, 1, 2, 3]
    assert frames_of(journal)[3].channel == 5


def test_nothing_readable_reaches_the_disk(journal):
    journal.append(CLIENT, "F", b"password=hunter2")
    content = b"".join(path.read_bytes() for path in journal.directory.iterdir())
    assert b"hunter2" not in content
    with pytest.raises(RecordingDamaged, match="another journal key"):
        read_head(journal.directory, bytes(32))


def test_time_never_runs_backwards(journal):
    for _ in range(50):
        journal.append(CLIENT, "F", b"")
    times = [frame.t for frame in frames_of(journal)]
    assert times == sorted(times)


def test_parts_rotate_by_size(journal):
    finished = []
    journal.on_part = finished.append
    for _ in range(5):
        journal.append(CLIENT, "F", bytes(600_000))
    assert [part.number for part in finished] == [1, 2]
    assert [
        part.size == (journal.directory / part_name(part.number)).stat().st_size for part in finished
    ] == [True] * 2
    assert [frame.seq for frame in frames_of(journal)] == [0, 1, 2, 3, 4]


def test_parts_rotate_by_age(journal, monkeypatch):
    journal.append(CLIENT, "F", b"a")
    assert not journal.due()
    later = journal._clock() + 11 * 10**9
    journal._clock = lambda: later
    assert journal.due()
    journal.append(CLIENT, "F", b"b")
    assert journal.part == 2
    assert not journal.due()


def test_an_empty_part_does_not_rotate(journal):
    journal.rotate()
    assert journal.part == 1


def test_a_frame_above_the_limit_is_refused_and_the_next_is_not(journal):
    with pytest.raises(RecordingFailed, match="above the limit"):
        journal.append(CLIENT, "F", bytes(MAX_DATA + 1))
    with pytest.raises(RecordingFailed, match="above the limit"):
        journal.append_all([Frame(CLIENT, "F", bytes(MAX_DATA + 1))])
    journal.append(CLIENT, "F", b"ok")
    assert [(frame.seq, frame.data) for frame in frames_of(journal)] == [(0, b"ok")]


def test_many_large_frames_at_once_are_several_records(journal, monkeypatch):
    calls = []
    writev = os.writev
    monkeypatch.setattr("os.writev", lambda *call: (calls.append("writev"), writev(*call))[1])
    journal.append_all([Frame(CLIENT, "F", bytes(40 << 20)) for _ in range(2)])
    assert len(calls) == 2
    assert [(frame.seq, len(frame.data)) for frame in frames_of(journal)] == [(0, 40 << 20), (1, 40 << 20)]


@pytest.mark.parametrize("cut", [1, 5, 9, 20])
def test_a_torn_record_is_cut(journal, cut):
    journal.append(CLIENT, "F", b"whole")
    journal.append(CLIENT, "F", b"torn")
    path = journal.directory / part_name(1)
    os.truncate(path, path.stat().st_size - cut)
    keys = read_head(journal.directory, WRAPPING)
    content = read_part(journal.directory, 1, keys)
    assert [frame.data for frame in content.frames] == [b"whole"]
    assert content.cut == path.stat().st_size - content.whole > 0


@pytest.mark.parametrize("place", [0, 4, 8, 30])
def test_a_damaged_record_ends_what_can_be_read(journal, place):
    for word in (b"one", b"two", b"three"):
        journal.append(CLIENT, "F", word)
    path = journal.directory / part_name(1)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 + place] ^= 0x40
    path.write_bytes(data)
    content = read_part(journal.directory, 1, read_head(journal.directory, WRAPPING))
    assert [frame.data for frame in content.frames] == [b"one"]
    assert content.whole + content.cut == len(data)


def test_records_cannot_be_moved(journal):
    for word in (b"aaa", b"bbb"):
        journal.append(CLIENT, "F", word)
    path = journal.directory / part_name(1)
    data = path.read_bytes()
    half = len(data) // 2
    path.write_bytes(data[half:] + data[:half])
    assert read_part(journal.directory, 1, read_head(journal.directory, WRAPPING)).frames == []


def test_zeros_behind_the_last_record_are_cut(journal):
    journal.append(CLIENT, "F", b"whole")
    path = journal.directory / part_name(1)
    os.truncate(path, path.stat().st_size + 4096)
    content = read_part(journal.directory, 1, read_head(journal.directory, WRAPPING))
    assert (len(content.frames), content.cut) == (1, 4096)


def test_a_full_disk_ends_the_session_and_the_end_is_recorded(small_disk):
    journal = Journal.create(small_disk, new_session_id(), WRAPPING, synced=False)
    accepted, said = fill(journal)
    assert "recording is mandatory, so nothing more is forwarded: free or add space there" in said
    assert accepted > 10
    with pytest.raises(RecordingFailed, match="free or add space"):
        journal.append(CLIENT, "F", b"even a small one")
    disks.use_up(small_disk)
    part, preallocated = journal.close({"reason": "recording: no space"})
    assert preallocated
    assert os.statvfs(small_disk).f_bavail == 0
    keys = read_head(journal.directory, WRAPPING)
    frames = frames_of(journal)
    assert [frame.seq for frame in frames] == list(range(accepted))
    content = read_part(journal.directory, part.number, keys, part.size)
    assert (content.whole, content.cut) == (part.size, 0)
    closing = read_closing(journal.directory, keys)
    assert closing is not None
    assert (closing.seq, closing.kind, closing.side) == (accepted, "closed", 2)
    journal.release()


def test_a_full_disk_opens_no_session(small_disk):
    disks.use_up(small_disk)
    with pytest.raises(RecordingFailed, match="free or add space"):
        Journal.create(small_disk, new_session_id(), WRAPPING, synced=False)
    assert os.listdir(small_disk) == ["filler"]


def test_a_read_only_disk_opens_no_session(small_disk):
    disks.read_only(small_disk)
    with pytest.raises(RecordingFailed, match="mount it writable again"):
        Journal.create(small_disk, new_session_id(), WRAPPING, synced=False)


def test_a_missing_directory_opens_no_session(tmp_path):
    with pytest.raises(RecordingFailed, match="see that it can be written to"):
        Journal.create(tmp_path / "gone", new_session_id(), WRAPPING, synced=False)


def test_a_directory_that_vanishes_ends_the_session(journal):
    journal.append(CLIENT, "F", bytes(2 << 20))
    shutil.rmtree(journal.directory)
    with pytest.raises(RecordingFailed, match="cannot be written"):
        journal.append(CLIENT, "F", b"the next part has no place")
    with pytest.raises(RecordingFailed, match="cannot be written"):
        journal.append(CLIENT, "F", b"nor will it have")


def test_a_short_write_goes_on(journal, monkeypatch):
    write = os.write
    monkeypatch.setattr("os.write", lambda fd, data: write(fd, bytes(data)[:7]))
    journal.append(CLIENT, "F", b"in several writes")
    monkeypatch.undo()
    assert frames_of(journal)[0].data == b"in several writes"


@pytest.mark.parametrize(("code", "remedy"), [(errno.EIO, "check the disk"), (errno.EDQUOT, "disk quota")])
def test_an_error_says_what_to_do_and_is_final(journal, monkeypatch, code, remedy):
    def failing(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("os.write", failing)
    with pytest.raises(RecordingFailed, match=remedy):
        journal.append(CLIENT, "F", b"x")
    monkeypatch.undo()
    with pytest.raises(RecordingFailed, match=remedy):
        journal.append(CLIENT, "F", b"x")
    assert frames_of(journal) == []


def test_an_end_that_is_too_long_for_its_place_is_shortened(journal):
    journal.fail("for the test")
    _, preallocated = journal.close({"reason": "why" * 200, "more": "x" * 10_000})
    assert preallocated
    closing = read_closing(journal.directory, read_head(journal.directory, WRAPPING))
    assert closing is not None
    assert b"whywhy" in closing.data
    assert b"shortened" in closing.data
    assert (journal.directory / "head").stat().st_size == HEAD_BYTES


def test_a_head_that_is_not_ours_is_damage(journal):
    head = journal.directory / "head"
    data = bytearray(head.read_bytes())
    for content in (b"", data[:20], bytes(CLOSING_OFFSET), b"\xff" * CLOSING_OFFSET):
        head.write_bytes(content)
        with pytest.raises(RecordingDamaged):
            read_head(journal.directory, WRAPPING)
    head.write_bytes(data)
    other = journal.directory.with_name(new_session_id())
    journal.directory.rename(other)
    with pytest.raises(RecordingDamaged, match="another version or session"):
        read_head(other, WRAPPING)


def test_the_state_is_kept_and_encrypted(journal):
    keys = read_head(journal.directory, WRAPPING)
    assert read_state(journal.directory, keys) is None
    write_state(journal.directory, keys, b"half a statement")
    write_state(journal.directory, keys, b"secret statement")
    assert read_state(journal.directory, keys) == b"secret statement"
    assert b"secret" not in (journal.directory / "state").read_bytes()
    (journal.directory / "state").write_bytes(b"x" * 100)
    assert read_state(journal.directory, keys) is None
    with pytest.raises(RecordingDamaged, match="above"):
        write_state(journal.directory, keys, bytes(MAX_STATE + 1))


def test_files_are_for_the_gateway_alone(journal):
    assert journal.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in Path(journal.directory).iterdir()} == {0o600}
