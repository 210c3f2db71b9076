"""What a pattern fits, what it must not, and that nobody's name takes long to tell."""

import itertools
import random
import re
import time

import pytest

from recgate.patterns import MAX_TEXT, fits


@pytest.mark.parametrize(
    ("pattern", "text", "between"),
    [
        ("a:*:c", "a:b:c", ":/"),
        ("a/**", "a/b/c:d", ":/"),
        ("*.ci.example", "a.ci.example", "."),
        ("repo:org/*", "repo:org/app.js", ":/"),
        ("a+b", "a+b", ":/"),
        ("", "", ":/"),
        ("*", "", ":/"),
        ("**", "", ":/"),
        ("a*", "a", ":/"),
        ("***", "a:b", ":/"),
        ("**x", "x:x", ":/"),
    ],
)
def test_what_fits(pattern, text, between):
    assert fits(pattern, text, between)


@pytest.mark.parametrize(
    ("pattern", "text", "between"),
    [
        ("a:*", "a:b:c", ":/"),
        ("a:*", "a:b/c", ":/"),
        ("*.ci.example", "a.b.ci.example", "."),
        ("*.ci.example", "axci.example", "."),
        ("a", "a\n", ":/"),
        ("a", "A", ":/"),
        ("a", "xa", ":/"),
        ("a+b", "aab", ":/"),
        ("", "a", ":/"),
        ("a", "", ":/"),
        ("**x", "x:", ":/"),
        ("**", "x" * (MAX_TEXT + 1), ":/"),
    ],
)
def test_what_does_not(pattern, text, between):
    assert not fits(pattern, text, between)


def test_the_same_as_a_search_that_goes_back():
    chance = random.Random(7)
    texts = ["".join(each) for n in range(5) for each in itertools.product("ab:", repeat=n)]
    for _ in range(200):
        pattern = "".join(chance.choice(["a", "b", ":", "*", "**"]) for _ in range(chance.randrange(7)))
        meaning = "".join(
            "[\\s\\S]*" if len(part) > 1 else "[^:]*" if part == "*" else re.escape(part)
            for part in re.findall(r"\*+|[^*]", pattern)
        )
        for text in texts:
            assert fits(pattern, text, ":") == bool(re.fullmatch(meaning, text)), (pattern, text)


def test_a_name_made_to_be_searched_for_long_is_told_at_once():
    began = time.process_time()

    assert not fits("repo:**-**-**-**:ref", "repo:" + "-" * 4_000)

    assert (
        time.process_time() - began < 1.0
    )  # 6 s for 2,000 characters and three runs, by a search that goes back
