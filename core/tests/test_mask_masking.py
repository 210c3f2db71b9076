"""One object for all masks of a session: what several maskers find, put together, and no doubt let through."""

import re

import pytest

from recgate.mask import Becomes, Mask, MaskFailed, Masking, Replacer
from recgate.mask.masking import MAX_SECONDS


class Words:
    """A masker of one pattern; `ascii` and `hints` make it look through buffers."""

    ascii = True

    def __init__(self, name: str, pattern: bytes, rule: str = "word"):
        self.name, self._pattern, self._rule = name, re.compile(pattern), rule

    def spans(self, data, *, final):
        return [(*found.span(), self._rule) for found in self._pattern.finditer(data)]

    def hints(self, data):
        return [found.span() for found in self._pattern.finditer(data)]

    def growing(self, data):
        return max(0, len(data) - 8)


class Plain:
    """A masker that gives whatever it was told, or raises it."""

    def __init__(self, name: str, answer: object):
        self.name, self._answer = name, answer

    def spans(self, data, *, final):
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def masking(*masks, clock=lambda: 0.0):
    made = [Mask(name, (masker,), Replacer(how, keep=4)) for name, masker, how in masks]
    return Masking(made, clock)


def test_hits_are_named_by_mask_and_rule_in_their_order():
    emails, numbers = Words("pii", b"[a-z]+@[a-z]+", "email"), Words("n", b"[0-9]+")
    of = masking(("pii", emails, Becomes.REDACT), ("n", numbers, Becomes.NULL))

    hits = of.find(b"12 a@b 34")

    assert [(hit.start, hit.end, hit.rule, hit.nulls) for hit in hits] == [
        (0, 2, "n.word", True), (3, 6, "pii.email", False), (7, 9, "n.word", True),
    ]  # fmt: skip


def test_where_two_want_the_same_bytes_the_stricter_replaces_them_all():
    keep, redact = Words("keep", b"abcdef"), Words("redact", b"defgh")
    of = masking(("keep", keep, Becomes.KEEP_LAST), ("redact", redact, Becomes.REDACT))

    (hit,) = of.find(b"abcdefgh")

    assert (hit.start, hit.end, hit.rule) == (0, 8, "redact.word")


def test_hints_of_all_maskers_come_together_and_without_them_every_value_is_looked_at():
    one, two = ("a", Words("a", b"x"), Becomes.REDACT), ("b", Words("b", b"y"), Becomes.REDACT)

    assert masking(one, two).hints(b"y..x") == [(0, 1), (3, 4)]
    assert masking(one).ascii
    assert list(masking(one).hints(b"....") or ()) == []
    mixed = masking(one, ("c", Plain("c", ()), Becomes.REDACT))
    assert mixed.hints(b"....") is None
    assert not mixed.ascii
    assert mixed.growing(b"....") == 0
    assert masking(one).growing(b"x" * 20) == 12


@pytest.mark.parametrize(
    "answer",
    [RuntimeError("alice@example.org"), [(0, 99, "x")], [(3, 2, "x")], [(-1, 2, "x")], [("a",)], None, 7],
)
def test_a_masker_in_doubt_is_a_failure_that_says_nothing_of_the_value(answer):
    with pytest.raises(MaskFailed) as failed:
        masking(("m", Plain("m", answer), Becomes.REDACT)).find(b"alice@example.org")

    assert "m" in str(failed.value)
    assert "alice" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_hints_that_fail_are_a_failure():
    class Broken(Words):
        def hints(self, data):
            raise KeyError("secret")

    with pytest.raises(MaskFailed, match="KeyError"):
        masking(("m", Broken("m", b"x"), Becomes.REDACT)).hints(b"x")


def test_a_masker_that_takes_too_long_has_not_answered():
    for ask in (lambda of: of.find(b"x"), lambda of: of.hints(b"x")):
        times = iter([0.0, MAX_SECONDS + 0.1])
        with pytest.raises(MaskFailed, match="longer than"):
            ask(masking(("m", Words("m", b"x"), Becomes.REDACT), clock=lambda times=times: next(times)))


def test_endless_spans_are_a_failure():
    class Endless(Words):
        def spans(self, data, *, final):
            while True:
                yield 0, 1, "x"

    with pytest.raises(MaskFailed, match="more than"):
        masking(("m", Endless("m", b"x"), Becomes.REDACT)).find(b"x")
