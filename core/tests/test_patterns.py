"""What a pattern fits, and what it must not."""

import pytest

from recgate.patterns import fits


@pytest.mark.parametrize(
    ("pattern", "text", "between"),
    [
        ("a:*:c", "a:b:c", ":/"),
        ("a/**", "a/b/c:d", ":/"),
        ("*.ci.example", "a.ci.example", "."),
        ("repo:org/*", "repo:org/app.js", ":/"),
        ("a+b", "a+b", ":/"),
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
    ],
)
def test_what_does_not(pattern, text, between):
    assert not fits(pattern, text, between)
