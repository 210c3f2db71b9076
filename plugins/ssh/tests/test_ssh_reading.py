"""Output as text: sequences out, jumps marked, and every byte knows where it stood."""

import random

import pytest

from plugins.ssh.tests.masks import CARD, masking
from recgate_ssh.reading import Across, text_of


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"plain\r\n", b"plain\r\n"),
        (b"a\x1b[31mb\x1b[0mc\x1b[Kd\x1b[?25le", b"abcde"),
        (b"a\x1b]0;title\x07b\x1b]8;;x\x1b\\c", b"abc"),
        (b"a\x1b(Bb\x1b=c\x07\x0e\x7fd", b"abcd"),
        (b"a\x1b[2;3Hb\x1b[Cc\x1b[5Gd", b"a\0b\0c\0d"),
        (b"abc\b\bxy", b"axy"),
        (b"_\ba_\bb", b"ab"),
        (b"abc \rd", b"abcd"),
        (b"abc\rd", b"abc\rd"),
        (b"a\x0bb", b"a\0b"),
        ("ü\x1b[1mö".encode(), "üö".encode()),
    ],
)
def test_text(raw: bytes, plain: bytes) -> None:
    text = text_of(raw, final=True)
    assert text.plain == plain
    assert text.used == len(raw)
    where = list(range(len(raw))) if text.where is None else list(text.where)
    assert len(where) == len(plain)
    assert where == sorted(where)


@pytest.mark.parametrize("begun", [b"\x1b", b"\x1b[", b"\x1b[3;4", b"\x1b]0;tit", b"\x1b]0;x\x1b", b"\x1b("])
def test_a_sequence_that_is_not_whole_waits(begun: bytes) -> None:
    assert text_of(b"ab" + begun, final=False).used == 2
    assert text_of(b"ab" + begun, final=True).used == 2 + len(begun)


def test_what_never_ends_is_not_waited_for() -> None:
    raw = b"\x1b]0;" + b"x" * 10_000
    assert text_of(raw, final=False).used == len(raw)


def test_values_are_found_across_jumps() -> None:
    finder = Across(masking("credit_card"))
    for value in (
        CARD,
        CARD[:8] + b"\0" + CARD[8:],
        CARD[:4] + b"\r" + CARD[4:],
        b"\0".join(bytes((c,)) for c in CARD),
    ):
        (hit,) = finder.find(b"x " + value + b" y")
        assert (hit.start, hit.end) == (2, 2 + len(value))
    assert finder.find(b"4111\n111111111111") == []
    assert finder.growing(b"x 41\0") == 2
    assert finder.growing(b"x 41\0 ") in (2, 5, 6)


def test_garbage() -> None:
    rnd = random.Random(5)
    for _ in range(2_000):
        raw = bytes(
            rnd.choice(b"\x1b\x1b[]0;HmC\x07\\\b\r\n ab\xc3\xbc\x00\x7f") for _ in range(rnd.randrange(60))
        )
        for final in (False, True):
            text = text_of(raw, final=final)
            assert text.used <= len(raw)
            if text.where is not None:
                assert len(text.where) == len(text.plain)
                assert all(place < text.used for place in text.where)
