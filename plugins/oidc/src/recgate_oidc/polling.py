"""Ask the provider after somebody whose raw token opened a session, as far as it can be asked (threat 6).

By introspection, by userinfo, by distributed claims: what the source's settings say. A bare signed token whose
claims say everything has the provider asked nothing, and stands until it expires.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import trio

from recgate.model import Principal
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.source import Proven, Source

__all__ = ["Polling"]

MAX_KEPT: Final = 20_000  # tokens that are asked after; the oldest go first, and their sessions end


@dataclass(slots=True)
class _Kept:
    proven: Proven
    principal: Principal
    asked: float  # on trio's clock


class Polling:
    """Keeps tokens in memory, never elsewhere, while they are good. A `Liveness` of one source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def keep(self, proven: Proven) -> None:
        """Remember a token that has just been checked."""
        key = proven.principal.credential_id
        self._kept[key] = _Kept(proven, proven.principal, trio.current_time())
        self._kept.move_to_end(key)
        while self._kept:
            oldest = next(iter(self._kept))
            if len(self._kept) <= MAX_KEPT and not _over(self._kept[oldest].principal):
                break
            del self._kept[oldest]

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal as the provider knows it now, asked at most every `poll` seconds.

        Raises:
            ProviderFailed: it has not answered for longer than its last answer counts.
        """
        kept = self._kept.get(principal.credential_id)
        if kept is None or _over(principal):
            return None
        now = trio.current_time()
        if now - kept.asked < self._source.settings.poll:
            return kept.principal
        try:
            found = await self._source.again(kept.proven)
        except TokenRefused:
            self._kept.pop(principal.credential_id, None)
            return None
        except ProviderFailed:
            if trio.current_time() - kept.asked < self._source.settings.outage:
                return kept.principal
            raise
        kept.principal, kept.asked = found, now
        return found


def _over(principal: Principal) -> bool:
    return principal.expires is not None and principal.expires <= time.time()
