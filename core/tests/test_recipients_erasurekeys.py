"""Erasure keys: there before anything is sealed under them, and gone without a trace once destroyed."""

from __future__ import annotations

import shutil
import stat
import threading

import pytest

from recgate.errors import RecordingFailed, RecordingSealed
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys

ONE, TWO = b"1" * 16, b"2" * 16


@pytest.fixture
def keys(tmp_path):
    made = ErasureKeys(tmp_path / ERASURE_FILE)
    yield made
    made.close()


def test_a_key_is_made_once_and_is_there_for_others(keys, tmp_path):
    made = keys.of(ONE)
    other = ErasureKeys(tmp_path / ERASURE_FILE)

    assert len(made.reveal()) == 32
    assert keys.of(ONE) == other.of(ONE) == other.find(ONE) == made
    assert keys.find(TWO) is None
    assert keys.of(TWO) != made
    assert list(keys.all()) == [(ONE, made), (TWO, keys.of(TWO))]
    assert stat.S_IMODE((tmp_path / ERASURE_FILE).stat().st_mode) == 0o600
    other.close()


def test_of_two_that_ask_first_both_get_the_same(tmp_path):
    got, start = [], threading.Barrier(4)

    def ask():
        keys = ErasureKeys(tmp_path / ERASURE_FILE)
        start.wait()
        got.append(keys.of(ONE).reveal())
        keys.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(got)) == 1


def test_the_file_alone_is_complete_while_it_is_in_use(keys, tmp_path):
    made = keys.of(ONE)
    copy = tmp_path / "elsewhere" / ERASURE_FILE
    copy.parent.mkdir()
    shutil.copy(tmp_path / ERASURE_FILE, copy)

    assert ErasureKeys(copy).find(ONE) == made


def test_a_destroyed_key_is_on_no_page_of_the_file(keys, tmp_path):
    made = keys.of(ONE).reveal()
    kept = keys.of(TWO).reveal()
    on_disk = lambda: b"".join(path.read_bytes() for path in tmp_path.iterdir())  # noqa: E731
    assert made in on_disk()

    assert keys.destroy(ONE)
    assert made not in on_disk()
    assert kept in on_disk()
    assert not keys.destroy(ONE)
    assert not keys.destroy(b"3" * 16)
    for ask in (keys.find, keys.of):
        with pytest.raises(RecordingSealed, match=r"was erased: its erasure key was destroyed at 20\d\d-"):
            ask(ONE)
    assert [session for session, _ in keys.all()] == [TWO]


def test_a_file_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / ERASURE_FILE).mkdir()
    with pytest.raises(RecordingFailed, match=ERASURE_FILE):
        ErasureKeys(tmp_path / ERASURE_FILE).of(ONE)


def test_a_file_that_others_may_read_is_refused(keys, tmp_path):
    keys.of(ONE)
    keys.close()
    (tmp_path / ERASURE_FILE).chmod(0o644)
    with pytest.raises(RecordingFailed, match="chmod 600"):
        keys.find(ONE)
