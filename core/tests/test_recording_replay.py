"""What lost power took is put back to the byte, once or twice, and what was sealed stays away."""

from __future__ import annotations

import errno
import os

import pytest

from core.tests.powercuts import tree
from recgate.errors import RecordingFailed
from recgate.ids import new_session_id, session_bytes
from recgate.recording.commitlog import GONE, HEAD, LOG_NAME, pack_block, pack_entry
from recgate.recording.journalfiles import HEAD_BYTES
from recgate.recording.replay import Replayed, replay


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "journal"
    (root / LOG_NAME).mkdir(parents=True)
    return root


def write_log(root, name, first, *blocks):
    data = b"".join(pack_block(first + n, entries) for n, entries in enumerate(blocks))
    (root / LOG_NAME / name).write_bytes(data + bytes(8192))


def entry(session, file, offset, data):
    return pack_entry(session_bytes(session), file, offset, data)


def a_session(root):
    """A session in two files of the log, the younger with the lower name; gives what its journal must hold."""
    session = new_session_id()
    write_log(root, "2.log", 1, [entry(session, HEAD, 0, b"head"), entry(session, 1, 0, b"abc")])
    write_log(root, "1.log", 2, [entry(session, 1, 3, b"defg")], [entry(session, 2, 0, b"second")])
    return session, {
        f"{session}/head": b"head" + bytes(HEAD_BYTES - 4),
        f"{session}/000001.part": b"abcdefg",
        f"{session}/000002.part": b"second",
    }


def test_a_journal_of_which_nothing_is_left_is_made_anew(root):
    _, whole = a_session(root)
    assert replay(root) == Replayed(1, 4, 17)
    assert tree(root) == whole
    assert replay(root) == Replayed()


@pytest.mark.parametrize("left", [b"", b"ab", b"\0\0\0\0\0", b"abcdefg", b"abcdefg and what nobody was told"])
def test_what_is_left_is_completed_in_its_place(root, left):
    session, whole = a_session(root)
    (root / session).mkdir()
    (root / session / "head").write_bytes(whole[f"{session}/head"])
    (root / session / "000001.part").write_bytes(left)
    replay(root)
    whole[f"{session}/000001.part"] += left[7:]
    assert tree(root) == whole


def test_a_start_that_is_cut_short_is_made_again(root, monkeypatch):
    _, whole = a_session(root)
    real = os.pwrite
    for allowed in range(4):
        calls = []

        def some(fd, data, offset, allowed=allowed, calls=calls):
            calls.append(data)
            if len(calls) > allowed:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(fd, data[:2], offset)

        monkeypatch.setattr("os.pwrite", some)
        with pytest.raises(RecordingFailed, match="see that there is space"):
            replay(root)
        assert len(list((root / LOG_NAME).iterdir())) == 2
    monkeypatch.setattr("os.pwrite", real)
    replay(root)
    assert tree(root) == whole


def test_a_session_that_is_marked_as_gone_stays_away(root):
    session = new_session_id()
    write_log(root, "1.log", 1, [entry(session, HEAD, 0, b"head"), entry(session, 1, 0, b"x")])
    write_log(root, "2.log", 2, [entry(session, GONE, 0, b"")])
    assert replay(root) == Replayed()
    assert tree(root) == {}


def test_a_journal_whose_head_the_log_has_no_more_is_not_made_anew(root):
    session = new_session_id()
    write_log(root, "1.log", 1, [entry(session, 3, 0, b"sealed long since")])
    replay(root)
    assert not (root / session).exists()


@pytest.mark.parametrize("lacking", ["start", "middle"])
def test_a_part_that_is_sealed_is_not_made_anew_from_what_the_log_still_has_of_it(root, lacking):
    """Where the log lacks some of a part, that was on the disk with its name: gone is sealed, and a half is damage."""
    session = new_session_id()
    (root / session).mkdir()
    (root / session / "head").write_bytes(bytes(HEAD_BYTES))
    first = [] if lacking == "start" else [entry(session, 1, 0, b"ab")]
    write_log(root, "1.log", 1, [*first, entry(session, 1, 3, b"defg")], [entry(session, 2, 0, b"second")])
    replay(root)
    assert tree(root) == {f"{session}/head": bytes(HEAD_BYTES), f"{session}/000002.part": b"second"}


def test_what_was_set_aside_is_completed_where_it_is(root):
    session, whole = a_session(root)
    aside = root / "damaged" / session
    aside.mkdir(parents=True)
    (aside / "head").write_bytes(b"head")
    replay(root)
    assert tree(root) == {f"damaged/{name}": data for name, data in whole.items()}


def test_a_link_is_not_written_through(root, tmp_path):
    session, _ = a_session(root)
    (root / session).mkdir()
    (root / session / "head").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"mine")
    with pytest.raises(RecordingFailed):
        replay(root)
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
