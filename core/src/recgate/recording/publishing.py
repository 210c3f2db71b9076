"""Keep the ledger's checkpoint young: whoever mirrors or witnesses the ledger reads it from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.recording.leaves import LedgerPlan

__all__ = ["LedgerPublishing"]

EVERY: Final = 10.0  # seconds between looks at whether anything changed

log = structlog.get_logger("recgate.ledger")


class LedgerPublishing:
    """Signs a checkpoint `every` so many seconds while anything changed, and one at the end.

    `published` is called with each new checkpoint, a signed note, in the thread of the event loop.
    """

    def __init__(self, plan: LedgerPlan | None, every: float = EVERY) -> None:
        self._every = every
        self._ledger = plan.open() if plan is not None else None
        self._problem = ""
        self._last = b""
        self.published: Callable[[bytes], None] | None = None

    def check(self) -> None:
        """Raise `RecordingFailed` while the ledger cannot be written: what begins now could not be logged."""
        if self._problem:
            raise RecordingFailed(f"{self._problem} No session was opened.")

    async def run(self) -> None:
        """Publish until cancelled; what was appended after the last look is `finish`'s."""
        while self._ledger is not None:
            await self._publish()
            await trio.sleep(self._every)

    async def finish(self) -> None:
        """Publish what there is. Not to be cancelled: call it shielded, behind the last writer."""
        if self._ledger is not None:
            await self._publish()

    async def _publish(self) -> None:
        assert self._ledger is not None
        try:
            note = await trio.to_thread.run_sync(self._ledger.publish)
        except (RecordingFailed, LedgerDamaged) as error:
            if str(error) != self._problem:
                log.error("ledger.failed", reason=str(error))
            self._problem = str(error)
            return
        if self._problem:
            log.warning("ledger.mended")
            self._problem = ""
        if note != self._last and note:
            self._last = note
            if self.published is not None:
                self.published(note)
