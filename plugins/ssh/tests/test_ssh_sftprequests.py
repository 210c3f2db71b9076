"""SFTP packets: what names a file stands alone, the rest passes as it came, at any chunking; garbage is an error."""

import random

import pytest

from recgate.errors import RemoteProtocolError
from recgate_ssh.sftprequests import PERMISSION_DENIED, Answers, Requests, status


def packet(kind: int, *parts: bytes | int) -> bytes:
    body = bytes((kind,)) + b"".join(
        part.to_bytes(4, "big") if isinstance(part, int) else len(part).to_bytes(4, "big") + part
        for part in parts
    )
    return len(body).to_bytes(4, "big") + body


INIT = packet(1, 3)
TALK = [
    INIT,
    packet(16, 1, b"."),
    packet(3, 2, b"/etc/passwd", 1, 0),
    packet(5, 3, b"h"),
    packet(3, 4, b"rel", 2 | 8, 0),
    packet(6, 5, b"h", 0, 0, b"x" * 40_000),
    packet(18, 6, b"/a", b"/tmp/../b"),
    packet(200, 7, b"posix-rename@openssh.com", b"/c", b"/d"),
    packet(200, 8, b"statvfs@openssh.com", b"/"),
    packet(200, 9, b"steal@example.com", b"/"),
    packet(99, 10, b"x"),
    packet(10, 11, b"h", 0),
    packet(4, 12, b"h"),
    packet(10, 13, b"h", 0),
    packet(17, 14, b"/etc"),
]  # fmt: skip
NAMES = packet(104, 1, 1, b"/home/alice", b"", 0)
HANDLE = packet(102, 2, b"h")
WANTED = [
    (2, ["download /etc/passwd"]),
    (4, ["upload /home/alice/rel"]),
    (6, ["rename /a", "rename /b?"]),
    (7, ["rename /c", "rename /d"]),
    (9, "refused"),
    (10, "refused"),
    (11, ["attributes /etc/passwd"]),
    (13, ["attributes ?"]),
]  # fmt: skip


def said(pieces: list) -> list:
    return [
        (
            each.ident,
            "refused"
            if each.refused
            else [f"{act.direction} {act.path}{'?' * act.opaque}" for act in each.acts],
        )
        for each in pieces
        if each.refused or each.acts
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 100, 1_000_000])
def test_any_chunking_says_the_same(size: int) -> None:
    answers = Answers()
    requests = Requests(answers)
    pieces = []
    stream = b"".join(TALK)
    # The answers come when they can: right behind what they answer.
    marks = {len(b"".join(TALK[:2])): NAMES, len(b"".join(TALK[:3])): HANDLE}
    at = 0
    while at < len(stream):
        end = min([at + size, *(mark for mark in marks if mark > at)])
        pieces += requests.feed(stream[at:end])
        if end in marks:
            for n in range(len(marks[end])):
                answers.feed(marks[end][n : n + 1])
        at = end
    assert said(pieces) == WANTED
    assert b"".join(piece.data for piece in pieces) == stream


def test_places_between_packets() -> None:
    answers = Answers()
    assert answers.between
    assert answers.feed(HANDLE[:7]) == -1
    assert not answers.between
    assert answers.feed(HANDLE[7:] + NAMES[:3]) == len(HANDLE) - 7
    assert not answers.between
    assert answers.feed(NAMES[3:]) == len(NAMES) - 3
    assert answers.between


def test_a_refusal_is_a_status_packet() -> None:
    assert status(7, PERMISSION_DENIED, "no") == packet(101, 7, 3, b"no", b"en")


@pytest.mark.parametrize(
    "bad",
    [b"\xff" * 9, packet(3, 1, b"x" * 70_000, 1, 0), b"\0\0\0\4\3\0\0\0\1", packet(3, 1),
     b"\0\0\0\x0a\3\0\0\0\1\0\0\xff\xffx"],
)  # fmt: skip
def test_what_is_no_sftp_is_an_error(bad: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        Requests(Answers()).feed(bad + b"\0" * 20)


def test_garbage_is_pieces_or_an_error() -> None:
    rnd = random.Random(3)
    for _ in range(500):
        requests, answers = Requests(Answers()), Answers()
        answers.asked = {0: "", 1: "x"}
        try:
            for _ in range(20):
                data = (
                    b"\0\0\0"
                    + bytes((rnd.randrange(12), rnd.choice((1, 3, 5, 9, 16, 102, 104, 200))))
                    + rnd.randbytes(rnd.randrange(12))
                )
                requests.feed(data)
                answers.feed(data)
        except RemoteProtocolError:
            continue
