"""Enter what administrators do into the ledger: that it was done, when, and by whom, under a digest of the words.

The words, with names in them, are in the audit trail; a line there has the number of its entry. Whoever has a line
can show that the entry is about it, and nobody can learn a name from the ledger alone.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from recgate.ids import session_bytes
from recgate.ledger.entries import NOBODY, digest_of, pack_entry, who_is
from recgate.ledger.log import Ledger
from recgate.model import Principal

__all__ = ["PROCESS", "Actor", "Acts", "Entering", "Words"]

SALT: Final = 16  # bytes
LOCAL_ISSUER: Final = "unix"  # of those whom the gateway's own machine knows, by the number of their user


class Entering(Protocol):
    """What is needed to enter an act: a gateway's `LedgerPlan`."""

    @property
    def subjects(self) -> bytes:
        """What hashes of people are keyed with."""
        ...

    def open(self) -> Ledger:
        """Give the ledger."""
        ...


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: an issuer, and whom that knows by `subject`. Both empty is the gateway itself."""

    issuer: str
    subject: str

    @classmethod
    def of(cls, principal: Principal) -> Actor:
        """Give somebody whom an identity source vouches for."""
        return cls(principal.issuer, principal.subject)

    @classmethod
    def local(cls, uid: int) -> Actor:
        """Give a user of the gateway's own machine."""
        return cls(LOCAL_ISSUER, str(uid))


PROCESS: Final = Actor("", "")


@dataclass(frozen=True, slots=True)
class Words:
    """What a line of the audit trail says of an act: its event and its fields, but for time and entry.

    One of the fields is a salt: when the line is gone, nobody finds out by guessing what it said.
    """

    event: str
    fields: Mapping[str, object]

    @classmethod
    def of(cls, event: str, **fields: object) -> Words:
        """Choose words, of what JSON has: texts, numbers, truths, lists and maps of them."""
        return cls(event, {**fields, "salt": secrets.token_hex(SALT)})

    @property
    def digest(self) -> bytes:
        """SHA-256 over the deterministic CBOR of [event, fields]."""
        return digest_of([self.event, dict(self.fields)])


class Acts:
    """Enters acts. When a method returns, the entry is durable; it gives the entry's number.

    Every method raises `RecordingFailed` when the ledger does not take it now, and `LedgerDamaged` when it is not
    what its key has signed: what rests on the entry is not done then. They are slow by a disk's measure: not for the
    event loop.

    Args:
        plan: whose ledger.
        clock: gives ns since 1970.
    """

    def __init__(self, plan: Entering, clock: Callable[[], int] = time.time_ns) -> None:
        self._subjects = plan.subjects
        self._ledger = plan.open()
        self._clock = clock
        self._turn = threading.Lock()

    def who(self, by: Actor) -> bytes:
        """Give the hash that stands for somebody."""
        return NOBODY if by == PROCESS else who_is(self._subjects, by.issuer, by.subject)

    def administered(self, words: Words, by: Actor) -> int:
        """Enter an act of administration by its event and its words."""
        return self._enter("admin", words.event, words.digest, self.who(by))

    def configured(self, configuration: str, by: Actor) -> int:
        """Enter that a configuration is in force, by its digest (64 hex digits)."""
        return self._enter("policy", bytes.fromhex(configuration), self.who(by))

    def viewed(self, session: str, what: str, by: Actor) -> int:
        """Enter that somebody looks at a recording."""
        return self._enter("view", session_bytes(session), self.who(by), what)

    def exported(self, session: str, what: str, by: Actor) -> int:
        """Enter that somebody takes a recording, or a part of it, away."""
        return self._enter("export", session_bytes(session), self.who(by), what)

    def decided(self, session: str, request: str, words: Words, by: Actor, *, approved: bool) -> int:
        """Enter what somebody decided on a request that a session holds."""
        place = (session_bytes(session), session_bytes(request))
        return self._enter("decide", *place, approved, self.who(by), words.digest)

    def held(self, session: str, words: Words, by: Actor, *, on: bool) -> int:
        """Enter that a recording is put on legal hold, or is not any more."""
        return self._enter("hold", session_bytes(session), on, self.who(by), words.digest)

    def removed(self, kind: Literal["erase", "retention"], session: str, words: Words, by: Actor) -> int:
        """Enter that a recording goes, and publish that: whoever misses it finds out why."""
        entry = self._enter(kind, session_bytes(session), self.who(by), words.digest)
        with self._turn:
            self._ledger.publish()
        return entry

    def _enter(self, kind: str, *fields: object) -> int:
        with self._turn:
            return self._ledger.append([pack_entry(kind, self._clock(), *fields)])
