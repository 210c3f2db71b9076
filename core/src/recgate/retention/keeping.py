"""The gateway's own round: every hour, recordings whose time is over are removed, and what was begun is finished."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import structlog
import trio

from recgate.errors import RecgateError
from recgate.retention.book import Removal
from recgate.retention.configured import BOOK_FILE, remover_of
from recgate.retention.removing import KEEPER, Due, Remover, due

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.gateway import Gateway

__all__ = ["Keeper", "due_now", "why_removed"]

FIRST: Final = 60.0  # seconds after the start: a gateway that comes up has more urgent things to do
EVERY: Final = 3_600.0
DAY: Final = 86_400

log = structlog.get_logger("recgate.retention")


def due_now(config: Configuration, remover: Remover) -> Iterator[Due]:
    """Find what the rules in force remove now, oldest first. `remover` is asked, and removes nothing."""

    def labels(target: str) -> Mapping[str, str] | None:
        settings = config.targets.get(target)
        return settings.info.labels if settings is not None else None

    held = [each.session for each in remover.book.holds()]
    return due(config.recording.retention.rules, remover.store, remover.catalog.get, labels, held)


def why_removed(each: Due) -> str:
    """Word why a rule removed a recording."""
    ended = time.strftime("%Y-%m-%d", time.gmtime(each.ended))
    return f"its {each.kept / DAY:g} days were over: it ended on {ended}"


class Keeper:
    """Removes by rule while a gateway runs. A removal that fails is tried again by the next round."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def run(self) -> None:
        """Go round until cancelled. A round under way is finished up to the recording that it is at."""
        await trio.sleep(FIRST)
        while True:
            await self.go_round()
            await trio.sleep(EVERY)

    async def go_round(self) -> None:
        """Finish what was begun, then remove what is due, one recording after the other."""
        gateway = self._gateway
        ruled = gateway.config.recording.retention.rules.shortest is not None
        if not ruled and not (gateway.config.data_dir / BOOK_FILE).exists():
            return  # nobody has ever removed or held anything here
        try:
            remover = remover_of(gateway.config, gateway.registry, gateway.acts)
            for removal in await trio.to_thread.run_sync(remover.finish):
                self._removed(removal)
            if not ruled:
                return
            found = due_now(gateway.config, remover)
            while (each := await trio.to_thread.run_sync(next, found, None)) is not None:
                await self._remove(remover, each)
        except Exception as error:  # noqa: BLE001 - whatever a store, catalog or index raises waits for the next round; sessions go on (law 7)
            self._failed(error)

    async def _remove(self, remover: Remover, each: Due) -> None:
        """Remove one; where that cannot be, the next round tries it again, and the others go."""
        why = why_removed(each)
        try:
            removal = await trio.to_thread.run_sync(remover.remove, each.session, "retention", KEEPER, why)
        except RecgateError as error:
            self._failed(error, session=each.session)
        else:
            self._removed(removal)

    def _failed(self, error: Exception, **facts: str) -> None:
        known = isinstance(error, RecgateError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        log.error("retention.failed", reason=reason, exc_info=None if known else error, **facts)
        self._gateway.audit.emit("retention.failed", reason=reason, **facts)

    def _removed(self, removal: Removal) -> None:
        self._gateway.audit.emit(removal.words.event, **removal.words.fields)
