"""SFTP packets in passing: any cut, any state border, and garbage."""

import hashlib
import os
import struct

from hypothesis import given
from hypothesis import strategies as st

from recgate_ssh.sftp import MAX_ASKED, FileEvent, Sftp


def packet(kind: int, *fields: int | bytes) -> bytes:
    body = b"".join(struct.pack(">I", each) if isinstance(each, int) else each for each in fields)
    return struct.pack(">IB", len(body) + 1, kind) + body


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def number(value: int) -> bytes:
    return struct.pack(">Q", value)


DATA = os.urandom(70_000)


def upload() -> list[tuple[int, bytes]]:
    """A file of two writes, as a client and a server say it."""
    half = 40_000
    return [
        (0, packet(1, 3)),
        (1, packet(2, 3)),
        (0, packet(3, 1, text(b"/tmp/up"), 2 | 8 | 16, 0)),
        (1, packet(102, 1, text(b"h1"))),
        (0, packet(6, 2, text(b"h1"), number(0), text(DATA[:half]))),
        (0, packet(6, 3, text(b"h1"), number(half), text(DATA[half:]))),
        (1, packet(101, 2, 0, text(b""), text(b"")) + packet(101, 3, 0, text(b""), text(b""))),
        (0, packet(4, 4, text(b"h1"))),
        (1, packet(101, 4, 0, text(b""), text(b""))),
    ]


def download() -> list[tuple[int, bytes]]:
    half = 32_768
    return [
        (0, packet(3, 1, text(b"/tmp/down"), 1, 0)),
        (1, packet(102, 1, text(b"h"))),
        (0, packet(5, 2, text(b"h"), number(0), half) + packet(5, 3, text(b"h"), number(half), half * 2)),
        (0, packet(5, 4, text(b"h"), number(len(DATA)), half)),
        (1, packet(103, 2, text(DATA[:half])) + packet(103, 3, text(DATA[half:]))),
        (1, packet(101, 4, 1, text(b"EOF"), text(b""))),
        (0, packet(4, 5, text(b"h"))),
        (1, packet(101, 5, 0, text(b""), text(b""))),
    ]


def run(steps: list[tuple[int, bytes]], size: int = 1 << 20, *, restored: bool = False) -> list[FileEvent]:
    sftp, events = Sftp(), list[FileEvent]()
    for n, (side, data) in enumerate(steps):
        for at in range(0, len(data), size):
            events += sftp.feed(side, n, n, data[at : at + size])
            if restored:
                sftp = Sftp.restore(sftp.save())
    assert not sftp.broken
    return [*events, *sftp.finish()]


def test_an_upload_has_path_size_and_digest():
    (event,) = run(upload())

    assert event.n == 2
    assert event.body == {
        "path": "/tmp/up",
        "direction": "upload",
        "size": len(DATA),
        "sha256": hashlib.sha256(DATA).hexdigest(),
    }


def test_a_download_has_them_too():
    (event,) = run(download())

    assert event.body["direction"] == "download"
    assert event.body["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert "partial" not in event.body


def test_a_file_read_in_part_is_said_to_be():
    steps = [step for step in download() if step[1][4:5] != b"\x65" or step[1][9:13] != b"\0\0\0\1"]
    (event,) = run(steps)

    assert event.body["partial"] is True


def test_one_byte_at_a_time_says_the_same():
    assert run(upload(), 1) == run(upload())
    assert run(download(), 1) == run(download())


def test_a_state_border_in_mid_file_loses_the_digest_and_says_so():
    (event,) = run(upload(), 10_000, restored=True)

    assert event.body["size"] == len(DATA)
    assert "interrupted" in str(event.body["sha256_absent"])
    assert "sha256" not in event.body


def test_a_file_written_out_of_order_has_no_digest():
    steps = upload()
    steps[4], steps[5] = steps[5], steps[4]
    (event,) = run(steps)

    assert "sha256" not in event.body
    assert event.body["size"] == len(DATA)


def test_a_file_that_is_never_closed_is_told_in_the_end():
    (event,) = run(upload()[:-2])

    assert event.body["error"] == "not closed"


def test_an_empty_file_has_the_digest_of_nothing():
    steps = [step for n, step in enumerate(upload()) if n not in (4, 5, 6)]
    (event,) = run(steps)

    assert (event.body["size"], event.body["sha256"]) == (0, hashlib.sha256().hexdigest())


def test_what_else_was_done_and_what_failed():
    steps = [
        (0, packet(13, 1, text(b"/gone")) + packet(18, 2, text(b"/a"), text(b"/b"))),
        (0, packet(200, 3, text(b"posix-rename@openssh.com"), text(b"/c"), text(b"/d\xff"))),
        (0, packet(3, 4, text(b"/secret"), 1, 0)),
        (1, packet(101, 1, 2, text(b"no"), text(b"")) + packet(101, 2, 0, text(b""), text(b""))),
        (1, packet(101, 3, 0, text(b""), text(b"")) + packet(101, 4, 3, text(b""), text(b""))),
    ]
    bodies = [event.body for event in run(steps)]

    assert bodies == [
        {"path": "/gone", "direction": "remove", "size": 0, "error": "no such file"},
        {"path": "/a", "direction": "rename", "size": 0, "to": "/b"},
        {"path": "/c", "direction": "rename", "size": 0, "to": "/d\\xff"},
        {"path": "/secret", "direction": "open", "size": 0, "error": "permission denied"},
    ]


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(max_size=64)), max_size=10))
def test_garbage_ends_the_reading_and_nothing_else(steps: list[tuple[int, bytes]]):
    sftp = Sftp()
    for n, (side, data) in enumerate(steps):
        sftp.feed(side, n, n, data)
        sftp = Sftp.restore(sftp.save())
    sftp.finish()


@given(st.data())
def test_a_byte_changed_anywhere_ends_the_reading_at_worst(data: st.DataObject):
    sftp = Sftp()
    for n, (side, raw) in enumerate(upload()):
        changed = bytearray(raw)
        changed[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(0, 255))
        sftp.feed(side, n, n, bytes(changed))
    sftp.finish()


def test_requests_that_are_never_answered_have_a_limit():
    sftp = Sftp()
    for ident in range(MAX_ASKED + 1):
        sftp.feed(0, 1, 1, packet(13, ident, text(b"/x")))

    assert "without an answer" in sftp.broken
