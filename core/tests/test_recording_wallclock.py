"""A clock that is set is noticed once; one that is kept in step is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from core.tests.test_recording_service import Ground, opened
from recgate.recording import service as service_module
from recgate.recording.wallclock import JUMP, WallClock
from recgate.sansio.frames import UPSTREAM
from recgate.transcript.gatewayframes import gateway_body

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


@pytest.fixture
def ground(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return Ground(tmp_path)


async def test_a_wall_clock_that_is_set_is_noted_and_reorders_nothing(ground, monkeypatch):
    """Forward and back by an hour, in two live sessions; one that has ended is left alone."""
    monkeypatch.setattr(service_module, "TICK", 0.02)
    offset = [0]
    async with ground.service() as service:
        service._clock = WallClock(lambda: time.time_ns() + offset[0])
        recorders = [service.open(opened()) for _ in range(3)]
        await recorders[2].close({"reason": "client-closed"})
        for offset[0] in (3600 * 10**9, 0):
            before = [recorder.journal.next_seq for recorder in recorders[:2]]
            with trio.fail_after(20):
                while [each.journal.next_seq - 1 for each in recorders[:2]] != before:  # noqa: ASYNC110 - of its own
                    await trio.sleep(0.01)
        for recorder in recorders[:2]:
            recorder.append(UPSTREAM, "B", b"last")
            await recorder.close({"reason": "client-closed"})
    for recorder in recorders[:2]:
        frames = ground.frames(recorder.session_id)
        assert [frame.t for frame in frames] == sorted(frame.t for frame in frames)
        said = [gateway_body(frame) for frame in frames if frame.kind == "note"]
        assert [body["text"] for body in said] == [
            "the gateway's wall clock jumped forward by 3600.0 s",
            "the gateway's wall clock jumped back by 3600.0 s",
        ]
    assert [frame.kind for frame in ground.frames(recorders[2].session_id)] == ["opened", "closed"]
