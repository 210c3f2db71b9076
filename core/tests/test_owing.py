"""What the gateway owes the ledger is tried until it is there."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.owing import AGAIN, enter_later


class Ledger:
    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.entered = 0

    def enter(self) -> int:
        if self.failures:
            raise self.failures.pop(0)
        self.entered += 1
        return 1


def run(ledger, for_seconds=1e6):
    async def main():
        with trio.move_on_after(for_seconds):
            await enter_later(ledger.enter, "session.killed")
        return trio.current_time()

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.02))


@pytest.mark.parametrize("failure", [RecordingFailed("full"), LedgerDamaged("changed")])
def test_an_act_waits_until_the_ledger_takes_it(failure):
    ledger = Ledger(failure, failure)
    with capture_logs() as logs:
        assert run(ledger) >= 2 * AGAIN
    assert ledger.entered == 1
    assert [each["event"] for each in logs] == ["act.waits"]


def test_what_is_lost_is_said():
    ledger = Ledger(*[RecordingFailed("full")] * 9)
    with capture_logs() as logs:
        run(ledger, AGAIN / 2)
    assert ledger.entered == 0
    assert [each["event"] for each in logs] == ["act.waits", "act.lost"]
