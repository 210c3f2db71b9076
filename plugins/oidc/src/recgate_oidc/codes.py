"""Codes that people were shown and have not entered yet: few for one address, and none beyond its time (RFC 8628)."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import trio

from recgate.addresses import block_of
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.grants import INTERVAL, Device, Granted, Grants, NotYet

__all__ = ["Codes", "ShownCode", "TooManyCodes"]

MAX_CODES: Final = 500  # at once, of one source
MAX_OF_ADDRESS: Final = 10  # at once: an office behind one address, and no loop that has codes made for ever
UNCLAIMED: Final = 60.0  # seconds that a code counts which nobody asks for, or whose connection has left
SLOWER: Final = 5.0  # seconds more between questions when the provider says so (RFC 8628 §3.5)


class TooManyCodes(TokenRefused):
    """This address, or everybody, has as many codes open as there may be."""

    def __init__(self, whose: str) -> None:
        super().__init__(
            f"{whose} has too many codes open",
            tell="Too many codes wait to be entered: enter one of them, or try again in some minutes.",
        )


class ShownCode:
    """One code, and when the provider may be asked again what became of it."""

    def __init__(self, grants: Grants, device: Device, address: str) -> None:
        self._grants = grants
        self.device = device
        self.address = address
        self.lock = trio.Lock()
        self.interval = float(device.interval)
        now = trio.current_time()
        self.ends = now + device.life
        self.claimed_by = now + UNCLAIMED
        self._next = now + self.interval

    @property
    def wait(self) -> float:
        """Seconds until the provider may be asked."""
        return max(0.0, self._next - trio.current_time())

    @property
    def is_over(self) -> bool:
        """Whether nobody can enter it any more, or nobody waits for it."""
        return trio.current_time() >= min(self.ends, self.claimed_by)

    def claim(self) -> None:
        """Somebody asks for it, and will again."""
        self.claimed_by = max(self.claimed_by, trio.current_time() + self.interval + UNCLAIMED)

    async def ask(self) -> Granted:
        """Ask once what became of it, no sooner than the provider likes.

        Raises:
            NotYet: nobody has entered it, or it is too soon to ask.
            TokenRefused: it was refused, or has expired.
        """
        async with self.lock:
            if trio.current_time() >= self.ends:
                raise TokenRefused(
                    "nobody entered the code in time", tell="Nobody entered the code in time: begin again."
                )
            if self.wait > 0:
                raise NotYet(slower=False)
            try:
                return await self._grants.by_device(self.device)
            except NotYet as exc:
                if exc.slower:
                    self.interval += SLOWER
                raise
            except ProviderFailed:
                # A provider that is away for a moment takes nobody's code away; it is asked less often (§3.5).
                self.interval = min(float(INTERVAL[1]), self.interval * 2)
                raise NotYet(slower=True) from None
            finally:
                self._next = trio.current_time() + self.interval

    async def entered(self) -> Granted:
        """Wait until it was entered. Raises `TokenRefused` if it was refused, or not entered in time."""
        self.claimed_by = self.ends
        while True:
            await trio.sleep(min(self.wait, max(0.0, self.ends - trio.current_time())))
            try:
                return await self.ask()
            except NotYet:
                continue


class Codes:
    """The codes of one source, by handles that only whoever began has. In memory: a restart gives them up."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants
        self._open: OrderedDict[str, ShownCode] = OrderedDict()
        self._making: list[str] = []  # for whom the provider is being asked for one now

    async def begin(self, address: str, more: Mapping[str, str]) -> tuple[str, ShownCode]:
        """Have a code made for somebody at an address; gives its handle too.

        Raises:
            TooManyCodes: there are enough.
            ProviderFailed: the provider makes none.
        """
        self._make_room(block_of(address))
        self._making.append(block_of(address))
        try:
            shown = ShownCode(self._grants, await self._grants.begin(more), address)
        finally:
            self._making.remove(block_of(address))
        handle = secrets.token_urlsafe(32)
        self._open[handle] = shown
        return handle, shown

    def _make_room(self, block: str) -> None:
        for handle in [handle for handle, each in self._open.items() if each.is_over]:
            del self._open[handle]
        # Those in the making count: or else whoever asks for many at once has the provider make them all.
        taken = [*self._making, *(block_of(each.address) for each in self._open.values())]
        if taken.count(block) >= MAX_OF_ADDRESS:
            raise TooManyCodes("this address")
        if len(taken) >= MAX_CODES:
            raise TooManyCodes("everybody together")

    def find(self, handle: str) -> ShownCode | None:
        """Give the code of a handle."""
        # A dictionary's look-up says nothing about 256 random bits that it does not have.
        return self._open.get(handle)

    def close(self, handle: str) -> bool:
        """Forget a code; says whether it was there, so that of several who ask one has it."""
        return self._open.pop(handle, None) is not None

    def leave(self, handle: str) -> None:
        """Nobody waits for it any more. It counts a while yet: who comes and goes has not more codes made."""
        shown = self._open.get(handle)
        if shown is not None:
            shown.claimed_by = trio.current_time() + UNCLAIMED
