"""A clock that is set is noticed once; one that is kept in step is not."""

from __future__ import annotations

import pytest

from recgate.recording.wallclock import JUMP, WallClock

SECOND = 1_000_000_000


class Clocks:
    def __init__(self) -> None:
        self.wall, self.steady = 1_700_000_000 * SECOND, 77 * SECOND
        self.watch = WallClock(lambda: self.wall, lambda: self.steady)

    def later(self, seconds: int, by: int = 0) -> int:
        self.steady += seconds * SECOND
        self.wall += seconds * SECOND + by
        return self.watch.jumped()


@pytest.mark.parametrize("by", [JUMP + 1, -JUMP - 1, 3600 * SECOND, -3600 * SECOND])
def test_a_jump_is_told_once(by):
    clocks = Clocks()
    assert clocks.later(1) == 0
    assert clocks.later(1, by) == by
    assert clocks.later(1) == 0
    assert clocks.later(3600) == 0


def test_what_was_set_back_is_a_jump_as_well():
    clocks = Clocks()
    assert clocks.later(1, 60 * SECOND) == 60 * SECOND
    assert clocks.later(1, -60 * SECOND) == -60 * SECOND


def test_small_corrections_are_none_until_they_add_up():
    clocks = Clocks()
    assert [clocks.later(1, 2 * SECOND) for _ in range(3)] == [0, 0, 6 * SECOND]
    assert clocks.later(1, JUMP) == 0
