"""What a driver is given: the accepted socket and the same door that relays come through."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import trio
from pydantic import BaseModel

from recgate.door import Door
from recgate.model import ConnectionInfo, Evidence
from recgate.providers import Challenge
from recgate.sansio.asks import LoggedIn
from recgate.session import Session

__all__ = ["DriverSession"]

AFTER_CHALLENGE: Final = 20.0  # seconds for the rest of the handshake once a person has come back
FAREWELL: Final = 5.0  # seconds for a driver to end a session that was ended from outside


class DriverSession:
    """One connection in a driver's hands. The core closes `client` and seals the recording when `serve` returns."""

    def __init__(
        self, door: Door, client: socket.socket, options: BaseModel, deadline: trio.CancelScope
    ) -> None:
        self.client = client
        self.listener_options = options
        self.end_reason = ""
        self.facts: dict[str, object] = {}
        self._door = door
        self._deadline = deadline or trio.CancelScope()
        self._handshake = self._deadline.deadline
        self._waiting = 0  # challenges: one that was withdrawn may take a moment to end
        self._opened = False

    @property
    def connection(self) -> ConnectionInfo:
        """Where the client comes from."""
        return self._door.connection

    @property
    def session(self) -> Session | None:
        """The session, from when its recording is open: before `open` has returned, where somebody must approve it."""
        return self._door.session

    @property
    def data_dir(self) -> Path:
        """The gateway's data directory, for host keys and authorities."""
        return self._door.gateway.config.data_dir

    async def login(self, name: str, evidence: Evidence) -> LoggedIn:
        """Say who this is; rate-limited and audited. Raises `AuthenticationFailed`."""
        return await self._door.login(name, evidence)

    async def recognises(self, name: str, evidence: Evidence) -> bool:
        """Whether it is worth the client's while to sign with this key. Proves and audits nothing."""
        return await self._door.recognises(name, evidence)

    async def challenge(self, name: str) -> Challenge | None:
        """Begin what a person does elsewhere to prove who they are; None if no identity source offers it."""
        return await self._door.challenge(name)

    async def answered(self, name: str, challenge: Challenge) -> LoggedIn:
        """Wait until a challenge is met, for longer than a handshake takes. Raises `AuthenticationFailed`."""
        if not self._waiting:
            self._handshake = self._deadline.deadline
        self._waiting += 1
        self._deadline.deadline = float("inf")  # the challenge has a limit of its own
        try:
            return await self._door.answered(name, challenge)
        finally:
            self._waiting -= 1
            if not self._waiting and not self._opened:
                self._deadline.deadline = max(self._handshake, trio.current_time() + AFTER_CHALLENGE)

    async def open(
        self, who: LoggedIn, details: Mapping[str, str], tell: Callable[[str], None] | None = None
    ) -> Session:
        """Decide on access, open the recording, lease the credential (in `Session.credential`).

        Where somebody must approve it, `tell` is called with words for the client, and may be again. A client that
        leaves meanwhile is the driver's to find out: cancelling withdraws the question.

        Raises `AccessDenied`, `RecordingFailed` or `VaultFailed`: say so in the protocol's words and return.
        """
        self._opened = True
        self._deadline.deadline = float("inf")  # the handshake is over; approval may take its time
        session = await self._door.open(who, details, tell)
        session.on_end(self._end_soon)
        return session

    def _end_soon(self) -> None:
        # The driver hears of the end by `Session.killed` and says farewell; one that does not is cancelled.
        self._deadline.deadline = trio.current_time() + FAREWELL

    async def dial(self) -> socket.socket:
        """Connect to the target; gives a non-blocking socket that the driver closes. Raises `UpstreamFailed`."""
        return await self._door.dial()

    def ended(self, reason: str, **facts: object) -> None:
        """Say why the session ended, for its `closed` frame; the first reason stands."""
        self.end_reason = self.end_reason or reason
        self.facts.update(facts)
