"""The file store: whole objects or none, never replaced, read-only when sealed, and clear about what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.tests import disks
from recgate.errors import RecordingFailed
from recgate.ids import new_session_id
from recgate.recording.directory import day_of
from recgate_store_file.store import FileStore

NOBODY = 65534


@pytest.fixture
def store(tmp_path):
    return FileStore(tmp_path / "recordings")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of eight MiB, of its own."""
    with disks.small_disk(tmp_path / "small", "8m") as place:
        yield place


def test_an_object_comes_back(store):
    session = new_session_id()
    store.put(session, "header.cbor", b"header")
    store.put(session, "000001.seg", b"one")
    assert store.get(session, "000001.seg") == b"one"
    assert store.objects(session) == ["header.cbor", "000001.seg"]
    assert list(store.sessions()) == [session]


def test_a_recording_that_is_gone_is_not_begun_in_the_middle(store):
    """Its file system is not mounted: the rest would be on another one."""
    session = new_session_id()
    store.put(session, "header.cbor", b"header")
    away = store.root.rename(store.root.with_name("away"))
    store.root.mkdir()
    with pytest.raises(RecordingFailed, match="is its file system mounted"):
        store.put(session, "000002.seg", b"two")
    assert list(store.root.iterdir()) == []
    store.root.rmdir()
    away.rename(store.root)
    store.put(session, "000002.seg", b"two")


def test_drafts_that_a_kill_left_go_with_the_seal(store):
    session = new_session_id()
    store.put(session, "header.cbor", b"header")
    directory = store.place(session)
    for name in (".000001.seg.0123abcd", ".of somebody else"):
        (directory / name).write_bytes(b"half")
    store.seal(session)
    assert sorted(os.listdir(directory)) == [".of somebody else", "header.cbor"]


def test_recordings_lie_by_day(store):
    session = new_session_id()
    store.put(session, "header.cbor", b"x")
    day = datetime.now(UTC).strftime("%Y/%m/%d")
    assert (store.root / day / session / "header.cbor").read_bytes() == b"x"
    assert day_of("7ZZZZZZZZZZZZZZZZZZZZZZZZZ") == "0000/00/00"


def test_segments_are_in_the_order_of_their_numbers(store):
    session = new_session_id()
    for name in ("header.cbor", "1000000.seg", "000002.seg", "999999.seg", "000001.seg"):
        store.put(session, name, b"x")
    assert store.objects(session) == ["header.cbor", "000001.seg", "000002.seg", "999999.seg", "1000000.seg"]


def test_sessions_come_oldest_first(store):
    sessions = sorted(new_session_id() for _ in range(20))
    for session in reversed(sessions):
        store.put(session, "header.cbor", b"x")
    assert list(store.sessions()) == sessions


def test_the_same_content_again_is_accepted_and_another_is_not(store):
    session = new_session_id()
    store.put(session, "000001.seg", b"one")
    store.put(session, "000001.seg", b"one")
    with pytest.raises(RecordingFailed, match="exists with another content; nothing was replaced"):
        store.put(session, "000001.seg", b"two")
    assert store.get(session, "000001.seg") == b"one"


def test_of_several_writers_one_wins(store):
    session = new_session_id()

    def attempt(content):
        try:
            store.put(session, "000001.seg", content)
        except RecordingFailed:
            return None
        return content

    with ThreadPoolExecutor(8) as pool:
        stored = [each for each in pool.map(attempt, [bytes([n]) * 100_000 for n in range(8)]) if each]
    assert stored == [store.get(session, "000001.seg")]
    assert os.listdir(store.dated(session)) == ["000001.seg"]


def test_a_file_system_without_links_gets_renames(store, monkeypatch):
    def no_links(*arguments, **options):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", no_links)
    session = new_session_id()
    store.put(session, "000001.seg", b"one")
    with pytest.raises(RecordingFailed, match="nothing was replaced"):
        store.put(session, "000001.seg", b"two")
    assert os.listdir(store.dated(session)) == ["000001.seg"]


def test_nothing_is_half_there(store, monkeypatch):
    """Whatever fails before the end leaves no object and no litter."""
    session = new_session_id()

    def failing(*arguments):
        raise OSError(5, "Input/output error")

    for step in ("os.write", "os.fchmod", "os.fsync", "os.link"):
        with monkeypatch.context() as patch:
            patch.setattr(step, failing)
            with pytest.raises(RecordingFailed, match="check the disk"):
                store.put(session, "000001.seg", b"one")
        assert store.objects(session) == []
    place = store.dated(session)
    assert not place.exists() or os.listdir(place) == []
    store.put(session, "000001.seg", b"one")
    assert store.get(session, "000001.seg") == b"one"


def test_an_object_is_synced_before_it_has_its_name_and_the_directory_after(store, monkeypatch):
    session = new_session_id()
    store.put(session, "header.cbor", b"x")
    events = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr("os.fsync", lambda fd: (events.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr("os.link", lambda *paths: (events.append("link"), link(*paths)))
    store.put(session, "000001.seg", b"one")
    assert [Path(each).name.partition(".0")[0] for each in events] == ["", "link", session]


def test_a_sealed_recording_is_read_only(store):
    session = new_session_id()
    store.put(session, "header.cbor", b"x")
    store.seal(session)
    assert store.dated(session).stat().st_mode & 0o777 == 0o550
    assert (store.dated(session) / "header.cbor").stat().st_mode & 0o777 == 0o440
    with pytest.raises(RecordingFailed, match="No such file"):
        store.seal(new_session_id())


@pytest.mark.parametrize(
    "session",
    [
        "",
        ".",
        "..",
        "../../../../tmp/x",
        "a/b",
        "/etc",
        "x" * 26,
        "\0",
        "01ARZ3NDEKTSV4RRFFQ69G5FA\n",
        "\u202e" * 26,
    ],
)
def test_what_is_no_session_id_is_no_path(store, session):
    with pytest.raises(RecordingFailed, match="not a session id"):
        store.put(session, "header.cbor", b"x")
    with pytest.raises(RecordingFailed, match="not a session id"):
        store.seal(session)
    with pytest.raises(KeyError):
        store.get(session, "header.cbor")
    assert store.objects(session) == []
    assert not store.root.exists()


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/b.seg", "header.cbor\n", "1.seg", ".hidden", "000001.seg.bak"]
)
def test_what_is_no_object_name_is_no_path(store, name):
    session = new_session_id()
    with pytest.raises(RecordingFailed, match="not the name"):
        store.put(session, name, b"x")
    with pytest.raises(KeyError):
        store.get(session, name)


def test_a_missing_object_is_a_key_error(store):
    with pytest.raises(KeyError):
        store.get(new_session_id(), "header.cbor")


def test_check_makes_the_directory(store):
    store.check()
    assert store.root.is_dir()


def test_check_says_that_it_is_not_writable(store):
    """As a user who may not write there."""
    store.check()
    store.root.chmod(0o555)
    code = (
        "import os, sys; from pathlib import Path; from recgate_store_file.store import FileStore\n"
        "from recgate.errors import RecordingFailed\n"
        f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "try: FileStore(Path(sys.argv[1])).check()\n"
        "except RecordingFailed as error: print(error)\n"
    )
    for path in (store.root, *list(store.root.parents)[:-1]):
        path.chmod(path.stat().st_mode | 0o055)
    said = subprocess.run(
        [sys.executable, "-c", code, str(store.root)], capture_output=True, text=True, check=True
    )
    assert said.stdout == (
        f"store-file: {store.root} is not writable by uid {NOBODY}; recording is mandatory, so no session was opened.\n"
    )


def test_check_says_that_it_is_mounted_read_only(small_disk):
    store = FileStore(small_disk / "recordings")
    store.check()
    disks.read_only(small_disk)
    with pytest.raises(RecordingFailed, match="mounted read-only; mount it writable; recording is mandatory"):
        store.check()
    with pytest.raises(RecordingFailed, match="mounted read-only"):
        store.put(new_session_id(), "header.cbor", b"x")


def test_check_says_that_it_is_full(small_disk):
    store = FileStore(small_disk / "recordings")
    store.check()
    session = new_session_id()
    store.put(session, "000001.seg", bytes(5 << 20))
    with pytest.raises(RecordingFailed, match="no space left; add space"):
        store.check()
    with pytest.raises(RecordingFailed, match="the recording waits on local disk"):
        store.put(session, "000002.seg", bytes(5 << 20))
    assert os.listdir(store.dated(session)) == ["000001.seg"]


def test_check_says_that_something_is_in_its_place(store):
    store.root.write_bytes(b"")
    with pytest.raises(RecordingFailed, match="File exists"):
        store.check()


def test_a_deleted_recording_leaves_nothing_behind_and_others_alone(store):
    gone, kept = sorted(new_session_id() for _ in range(2))
    for session in (gone, kept):
        store.put(session, "header.cbor", b"header")
        store.put(session, "000001.seg", b"one")
        store.seal(session)
    store.delete(gone)
    store.delete(gone)
    assert store.objects(gone) == []
    assert list(store.sessions()) == [kept]
    assert store.get(kept, "000001.seg") == b"one"
    store.delete(kept)
    assert list(store.root.rglob("*")) == []
    assert store.root.is_dir()


def test_what_cannot_be_deleted_is_said(store, monkeypatch):
    session = new_session_id()
    store.put(session, "header.cbor", b"header")
    monkeypatch.setattr(os, "rmdir", _refused)
    with pytest.raises(RecordingFailed, match="so it was not removed"):
        store.delete(session)


def test_only_sessions_are_deleted(store, tmp_path):
    (tmp_path / "recordings" / "x").mkdir(parents=True)
    with pytest.raises(RecordingFailed, match="not a session id"):
        store.delete("../recordings/x")
    assert (tmp_path / "recordings" / "x").is_dir()


def _refused(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")
