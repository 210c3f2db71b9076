"""What the gateway owes the ledger: acts that do not wait for it, and are entered as soon as it can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
import trio

from recgate.errors import LedgerDamaged, RecordingFailed

__all__ = ["enter_later"]

AGAIN: Final = 10.0  # seconds between two tries

log = structlog.get_logger("recgate.ledger")


async def enter_later(enter: Callable[[], int], act: str) -> None:
    """Enter an act, and try again until it is in the ledger. `act` names it in the log.

    Cancelled, an entry that is being written is written to its end; one that still waits is lost, and the log says so.
    """
    told = ""
    try:
        while True:
            try:
                await trio.to_thread.run_sync(enter)
            except (RecordingFailed, LedgerDamaged) as exc:
                if told != str(exc):
                    log.error("act.waits", act=act, reason=str(exc))
                told = str(exc)
            else:
                return
            await trio.sleep(AGAIN)
    except trio.Cancelled:
        log.error("act.lost", act=act, reason=told or "the gateway stopped")
        raise
