"""Playing with a scripted keyboard, whose clock is the only time there is."""

from __future__ import annotations

import pytest

from recgate.transcript.playing import RESET, Key, Pace, Player, Step

STEPS = [Step(int(t * 1e6), str(n).encode()) for n, t in enumerate((0, 1, 2, 10, 11))]


class Script:
    """Presses keys at given times of its own clock, and notes what had been written by then."""

    def __init__(self, *presses):
        self.presses = list(presses)
        self.now = 0.0
        self.written = []
        self.times = []

    def write(self, data):
        self.written.append(data)
        self.times.append(round(self.now, 3))

    def wait(self, seconds):
        end = float("inf") if seconds is None else self.now + seconds
        if self.presses and self.presses[0][0] <= end:
            at, key = self.presses.pop(0)
            waited = max(0.0, at - self.now)
            self.now += waited
            return key, waited
        assert seconds is not None, "nobody will ever press a key again"
        self.now = end
        return Key.NONE, seconds


def play(*presses, **options):
    script = Script(*presses)
    Player(lambda: iter(STEPS), script.write, script, **options).play()
    return list(zip(script.times, b",".join(script.written).decode().split(","), strict=True))


def test_the_recorded_times_are_kept():
    assert play() == [(0, "0"), (1, "1"), (2, "2"), (10, "3"), (11, "4")]


def test_speed_and_idle():
    assert [at for at, _ in play(speed=2.0)] == [0, 0.5, 1, 5, 5.5]
    assert [at for at, _ in play(idle=1.5)] == [0, 1, 2, 3.5, 4.5]


def test_what_is_before_the_start_is_played_at_once():
    assert [at for at, _ in play(start=9_000_000)] == [0, 0, 0, 1, 2]


def test_a_pause_lasts_until_the_next_space():
    assert [at for at, _ in play((0.5, Key.PAUSE), (7.5, Key.PAUSE))] == [0, 8, 9, 17, 18]


def test_one_step_while_paused():
    presses = [(0.5, Key.PAUSE), (3, Key.NEXT), (4, Key.NEXT), (5, Key.PAUSE)]
    assert [at for at, _ in play(*presses)] == [0, 3, 4, 13, 14]


def test_quitting_ends_at_once():
    assert play((1.5, Key.QUIT)) == [(0, "0"), (1, "1")]
    assert play((1.5, Key.PAUSE), (100, Key.QUIT)) == [(0, "0"), (1, "1")]


def test_forward_plays_five_seconds_at_once():
    assert play((0.5, Key.FORWARD)) == [(0, "0"), (0.5, "1"), (0.5, "2"), (5, "3"), (6, "4")]


def test_back_plays_again_from_the_beginning_up_to_there():
    played = play((8.0, Key.BACK))  # at 8 s: back to 3 s
    reset = RESET.decode()
    assert played == [
        (0, "0"),
        (1, "1"),
        (2, "2"),
        (8, reset),
        (8, "0"),
        (8, "1"),
        (8, "2"),
        (15, "3"),
        (16, "4"),
    ]


def test_back_at_the_beginning_begins_again():
    assert [text for _, text in play((1.5, Key.BACK))][:4] == ["0", "1", RESET.decode(), "0"]


def test_faster_and_slower_count_from_here():
    assert [at for at, _ in play((2, Key.NONE), (4.0, Key.FASTER))] == [0, 1, 2, 7, 7.5]
    assert [at for at, _ in play((4.0, Key.SLOWER))] == [0, 1, 2, 16, 18]


def test_without_keys_nothing_is_waited_for():
    written = []
    Player(lambda: iter(STEPS), written.append, None).play()
    assert written == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_pace_is_time_alone(seconds):
    assert Pace().wait(seconds) == (Key.NONE, 0.0)


def test_times_that_go_back_do_not_stop_it():
    script = Script()
    Player(
        lambda: iter([Step(5_000_000, b"a"), Step(1, b"b"), Step(6_000_000, b"c")]), script.write, script
    ).play()
    assert script.times == [5, 5, 6]
