"""Ask the provider after somebody whose raw token opened a session, as far as it can be asked (threat 6).

By introspection, by userinfo, by distributed claims: what the source's settings say. A bare signed token whose
claims say everything has the provider asked nothing, and stands until it expires.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import trio

from recgate.model import Principal
from recgate_oidc.authenticator import Liveness
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.source import Proven, Source

__all__ = ["Polling"]

MAX_KEPT: Final = 20_000  # tokens that are asked after; those without a session go first
ASK_TIMEOUT: Final = 8.0  # seconds for all that is asked about one token; the core waits longer


@dataclass(slots=True)
class _Kept:
    """A token and what it proved. `judged` says that this was by the settings of now."""

    proven: Proven
    principal: Principal
    asked: float  # on trio's clock
    judged: bool = True
    failed: float = -1.0  # when the provider last failed to answer, on trio's clock
    failure: str = ""
    asking: trio.Lock = field(default_factory=trio.Lock)


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

    def inherit(self, before: Liveness) -> None:
        """Take over the tokens that were kept. Under other settings each is checked anew when it is asked after."""
        if isinstance(before, Polling) and before is not self:
            then, now = before._source, self._source
            same = (then.settings, then.foreign) == (now.settings, now.foreign)
            self._kept = OrderedDict(
                (key, _Kept(each.proven, each.principal, each.asked, judged=same and each.judged))
                for key, each in before._kept.items()
            )

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal as the provider knows it now, asked at most every `poll` seconds.

        Raises:
            ProviderFailed: it has not answered for longer than its last answer counts.
        """
        key, began = principal.credential_id, trio.current_time()
        kept = self._kept.get(key)
        if kept is None or _over(principal):
            return None
        self._kept.move_to_end(key)
        # All sessions of one token wait for one answer, be it that there is none.
        async with kept.asking:
            if self._kept.get(key) is not kept:
                return await self.current(principal)
            if kept.judged and trio.current_time() - kept.asked < self._source.settings.poll:
                return kept.principal
            try:
                if kept.failed >= began:
                    raise ProviderFailed(kept.failure)
                await self._ask(kept)
            except TokenRefused:
                if self._kept.get(key) is kept:
                    del self._kept[key]
                return None
            except ProviderFailed as exc:
                if kept.failed < began:
                    kept.failed, kept.failure = trio.current_time(), str(exc)
                if trio.current_time() - kept.asked >= self._source.settings.outage:
                    raise
            return kept.principal

    async def _ask(self, kept: _Kept) -> None:
        now = trio.current_time()
        try:
            with trio.fail_after(ASK_TIMEOUT):
                if kept.judged or kept.proven.token is None:
                    kept.principal = await self._source.again(kept.proven)
                else:
                    proven = await self._source.proven(kept.proven.token)
                    if proven is None:
                        raise TokenRefused("it is not of this provider, as the source is configured now")
                    kept.proven, kept.principal, kept.judged = proven, proven.principal, True
        except trio.TooSlowError:
            raise ProviderFailed(f"the provider does not answer within {ASK_TIMEOUT:.0f} s") from None
        kept.asked = now


def _over(principal: Principal) -> bool:
    return principal.expires is not None and principal.expires <= time.time()
