"""Policies that can say what concerns a session are asked; those that cannot judge everything."""

from core.tests.test_session import make
from recgate.decisions import ALLOW
from recgate.policy.narrowing import ORDINARY, narrowed, unjudged


class Plain:
    name = "plain"

    def decide(self, request):
        return ALLOW


class Left(Plain):
    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def judges(self, kind: str):
        return kind in self.kinds


class Doubtful(Plain):
    def judges(self, kind: str):
        return None


class Narrows(Plain):
    def __init__(self, left: Plain | None) -> None:
        self.left = left

    def narrowed(self, session):
        return self.left


def test_what_is_left_of_each_is_kept_in_their_order():
    plain, left = Plain(), Left("sql")
    assert narrowed([Narrows(None), plain, Narrows(left)], make()[0]) == [plain, left]


def test_only_what_nobody_judges_is_free():
    assert unjudged([]) == ORDINARY
    assert unjudged([Left("sql")]) == {"shell"}
    assert unjudged([Left(), Left("shell")]) == {"sql"}
    assert unjudged([Left(), Plain()]) == frozenset()
    assert unjudged([Doubtful()]) == frozenset()
