"""The line that a terminal shows, as shells draw it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate_ssh.terminal import MAX_LINE, Line, plain_text


def line(*output: str, cols: int = 0) -> str:
    model = Line(cols)
    for part in output:
        model.write(part)
    return model.text


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("$ ls", "$ ls"),
        ("$ lx\b \bs", "$ ls"),
        ("$ ls\b\bX", "$ Xs"),
        ("abc\rX", "Xbc"),
        ("abc\r\x1b[K$ ", "$ "),
        ("abcdef\x1b[3D\x1b[K", "abc"),
        ("abcdef\x1b[4D\x1b[2P", "abef"),
        ("abef\x1b[2D\x1b[2@cd", "abcdef"),
        ("\x1b[?2004h\x1b[01;32muser@host\x1b[00m:\x1b[01;34m~\x1b[00m$ id", "user@host:~$ id"),
        ("\x1b]0;title\x07$ id", "$ id"),
        ("\x1b]0;title\x1b\\$ id", "$ id"),
        ("one\ntwo", "two"),
        ("a\tb", "a       b"),
        ("\x1b[5Gx", "    x"),
        ("old\x1b[H\x1b[2J$ new", "$ new"),
        ("abc\x1b[1K", "   "),
        ("abc\x1b[2K", ""),
    ],
)
def test_output_is_drawn(output: str, shown: str):
    assert line(output) == shown
    assert line(*output) == shown


def test_a_line_that_wraps_is_one_line():
    # What readline sends at the right edge of ten columns: the character, a blank that wraps, and back.
    assert line("$ 12345678 \r9abc", cols=10) == "$ 123456789abc"


def test_a_full_screen_program_has_no_line():
    model = Line()
    model.write("$ vi\r\n\x1b[?1049h~")
    assert model.alternate
    model.write("\x1b[?1049l$ ")
    assert not model.alternate


def test_a_line_has_an_end():
    assert len(line("x" * 3 * MAX_LINE)) == MAX_LINE
    assert len(line("\x1b[99999999C" * 5 + "x")) <= MAX_LINE


@given(st.lists(st.text(alphabet="ab\x1b[]0;9KPCDHJ@ABGh?l\r\n\b\t\x07\\", max_size=30), max_size=8))
def test_any_cut_draws_the_same(parts: list[str]):
    whole, one = Line(20), Line(20)
    whole.write("".join(parts))
    for char in "".join(parts):
        one.write(char)
        one = Line.restore(one.save())

    assert one.save() == whole.save()


def test_search_sees_text_without_its_colours():
    assert plain_text("\x1b[31mred\x1b[0m\r\n\x07x\x1b]0;t\x07y") == "red\nxy"


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("$ ls\r\n\x1b[?2004l\ra  b\r\n", "$ ls\na  b\n"),
        ("one\r\r\ntwo", "one\ntwo"),
        ("10%\r20%\r100%\r\n", "10%\n20%\n100%\n"),
        ("one\r\n\r\ntwo", "one\n\ntwo"),
        ("\rover", "\nover"),
    ],
)
def test_a_carriage_return_that_goes_nowhere_makes_no_line(output: str, shown: str):
    assert plain_text(output) == shown


def test_at_the_begin_of_a_line_it_goes_nowhere_either():
    assert plain_text("\x1b[?2004l\ra", fresh=True) == "a"
