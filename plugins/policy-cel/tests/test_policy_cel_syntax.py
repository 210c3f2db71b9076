"""The part of CEL that is read, and everything else, which is refused with its column and what to do."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate_policy_cel.checking import check
from recgate_policy_cel.evaluation import Program
from recgate_policy_cel.syntax import MAX_TEXT, ConditionError, Literal, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a"', "a"),
        ("'a\"'", 'a"'),
        ('"""a\n"b"""', 'a\n"b'),
        (r'r"\d"', r"\d"),
        (r'"\u0041\x42\103\n"', "ABC\n"),
        (r'"\U0001F600"', "\U0001f600"),
        ("42", 42),
        ("0x1F", 31),
        ("-7", -7),
        ("true // a comment\n", True),
        ("(((7)))", 7),
    ],
)
def test_literals_are_what_cel_says(text, value):
    assert parse(text) == Literal(value)


def test_operators_bind_as_in_cel():
    either = parse("a == 1 || b == 2 && !c in d")
    assert either == parse("(a == 1) || ((b == 2) && ((!c) in d))")
    assert either != parse("((a == 1) || (b == 2)) && ((!c) in d)")


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "ends too early"),
        ("a = 1", 3, "Equality is `==`"),
        ("a & b", 3, "And is `&&`"),
        ("a + b", 3, "do not calculate"),
        ("a - 1", 3, "do not calculate"),
        ("1.5", 1, "whole"),
        ("1u", 1, "whole"),
        ("99999999999999999999", 1, "64 bits"),
        ("a < b < c", 7, "cannot be chained"),
        ('"open', 1, "does not end"),
        ('"a\nb"', 1, "does not end"),
        (r'"\d"', 2, "no escape"),
        (r'"\ud800"', 1, "half of a character"),
        (r'"\U00110000"', 2, "no escape"),
        ("null", 1, "nothing is null"),
        ("for", 1, "keeps for itself"),
        ("{}", 1, "no maps"),
        ("a b", 3, "missing before it"),
        ("(a", 3, "too early"),
        ("rеquest.kind", 2, "letters of other scripts look alike"),  # noqa: RUF001 - Cyrillic
        ("a\u200b", 2, "U+200B"),
        ('a."b"', 3, "a name"),
    ],
)
def test_what_is_not_read_is_refused_at_its_place(text, column, words):
    with pytest.raises(ConditionError) as refused:
        parse(text)
    assert str(refused.value).startswith(f"column {column}: ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 2_000 + "1" + ")" * 2_000,
        "!" * 4_000 + "true",
        "a" + ".b" * 2_000,
        "[" * 2_000,
        "a ? " * 1_000,
        "a" * (MAX_TEXT + 1),
        "[" + "1," * 2_000 + "1]",
        "a" + "[0]" * 1_300,
    ],
)
def test_bombs_are_refused_and_not_followed(bomb):
    with pytest.raises(ConditionError):
        parse(bomb)


def test_a_long_chain_is_a_shallow_tree_and_runs():
    text = " || ".join(f'request.verb == "V{n}"' for n in range(150))
    program = Program.of(check(text))
    assert program({"request_verb": "V149"})
    assert not program({"request_verb": "V150"})


@given(st.text(max_size=60))
def test_garbage_is_a_condition_error_and_nothing_else(text):
    with contextlib.suppress(ConditionError):
        parse(text)


@given(st.text(alphabet="a.=!&|()[]\"'?:,<>1 -\\", max_size=60))
def test_garbage_of_the_right_letters_is_a_condition_error_and_nothing_else(text):
    with contextlib.suppress(ConditionError):
        parse(text)
