"""What a relay may learn of its target besides what passes through it: by a survey, on a connection of its own.

PostgreSQL's catalog is the case: what a name in a statement means is not in the statement. A relay asks its `Findings`
before each request for what is known of a *subject* (a database). What is not known, or not any more, it asks for by
`Survey`, which pauses its client until the core has read it.
"""

from __future__ import annotations

from typing import Protocol

from recgate.sansio.relay import Relay

__all__ = ["Findings", "Surveyor"]


class Findings(Protocol):
    """What is known of one session's target. Shared with that target's other sessions; never waits."""

    def current(self, subject: str) -> object | None:
        """Give the newest finding, or None while there is none that may be relied on: ask for it by `Survey`."""
        ...

    def mark(self, subject: str) -> int:
        """Give a number that changes whenever `spoil` is called for this subject, by whichever session."""
        ...

    def spoil(self, subject: str) -> None:
        """Say that the target has changed, or may change this moment: what is known is not to be relied on."""
        ...


class Surveyor(Relay, Protocol):
    """A relay that has only an upstream side, for one fresh connection to a target, which it reads.

    The core dials, drives UPSTREAM as for any relay, answers a `StartTls`, and ends at `PeerClosed`, at
    `RemoteProtocolError`, or at its own limits of time and bytes. No frame comes of it, and nothing is recorded.
    """

    def finding(self) -> object:
        """Give what was read, once `PeerClosed` was given. May take a while: it is called in a thread.

        Raises:
            RecgateError: the target's answers are not to be made sense of.
        """
        ...
