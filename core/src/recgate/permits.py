"""Permit people to open their share of sealed originals: each in their own name, and on record before they have it.

Without a permit a private key opens nothing. So nobody unseals unnoticed, and one person with two keys gets one permit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recgate.errors import AccessDenied, RecgateError, RecordingFailed
from recgate.ledger.entries import pack_entry, who_is
from recgate.model import Principal, Secret
from recgate.privatedatabase import PrivateDatabase, Schema
from recgate.recipients.bech import BadText
from recgate.recipients.escrow import permit_of
from recgate.recipients.keys import Recipient
from recgate.recipients.wrapping import ORIGINALS, Context
from recgate.recording.directory import is_session
from recgate.recording.leaves import LedgerPlan
from recgate.recording.reader import Archive, Readable
from recgate.recording.unsealing import Permit, segment_of

__all__ = ["MAX_WHY", "PERMITS_FILE", "Permits", "Wanted"]

PERMITS_FILE: Final = "permits.sqlite3"
MAX_WHY: Final = 500  # characters

_TABLES: Final = """
CREATE TABLE permits (
    session BLOB NOT NULL,
    segment INTEGER NOT NULL,
    holder BLOB NOT NULL,
    principal TEXT NOT NULL,
    given REAL NOT NULL,
    PRIMARY KEY (session, segment, holder)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for: the permit of `holder` (`rgpub1…`) for the originals of one entry, and why."""

    session: str
    entry: int
    holder: str
    why: str

    @classmethod
    def read(cls, request: Mapping[str, object]) -> Wanted:
        """Take it from a request. What is missing or of another kind is refused when it is looked at."""
        entry = request.get("entry")
        texts = [str(request.get(key, "")) for key in ("session", "holder", "why")]
        return cls(texts[0], entry if type(entry) is int else -1, texts[1], texts[2])

    def facts(self) -> dict[str, object]:
        """What the audit trail has of it."""
        return {"session": self.session, "entry": self.entry, "reason": self.why}


class Permits:
    """A gateway's permits. `key` is what they come from; who got which is kept in a file of its own.

    Synchronous, and slow by a disk's measure: not for the event loop.
    """

    def __init__(self, path: Path, store: Readable, key: Secret, ledger: LedgerPlan) -> None:
        self._database = PrivateDatabase(path, Schema(1, _TABLES, "recgate"), RecordingFailed)
        self._archive = Archive(store)
        self._key = key
        self._ledger = ledger

    def give(self, principal: Principal, wanted: Wanted, tell: Callable[[int, str], None]) -> Permit:
        """Give one person's permit. `tell` is called with segment and holder before it exists, for the audit trail.

        Raises:
            AccessDenied: they may not have it; says why.
            RecgateError: it cannot be put on record, or there are no such originals.
        """
        holder = _holder(wanted)
        segment, escrowed = segment_of(self._archive, wanted.session, wanted.entry)
        place = segment.place
        if holder.id not in {wrap.recipient for wrap in escrowed.wraps}:
            raise AccessDenied("these originals are not sealed to that key")
        self._note(place.session, place.segment, holder.id, f"{principal.issuer}\0{principal.subject}")
        tell(place.segment, holder.id.hex())
        who = who_is(self._ledger.subjects, principal.issuer, principal.subject)
        what = f"segment {place.segment}, entry {wanted.entry}, holder {holder.id.hex()[:16]}"
        self._ledger.open().append([pack_entry("unseal", time.time_ns(), place.session, who, what)])
        key = permit_of(self._key, Context(place.session, place.segment, ORIGINALS), holder.id)
        return Permit(wanted.session, place.segment, wanted.entry, holder.id, key)

    def _note(self, session: bytes, segment: int, holder: bytes, principal: str) -> None:
        """Keep who asked for which holder. Two people are two: neither two keys of one, nor one key of two."""
        with self._database.writing() as connection:
            rows = connection.execute(
                "SELECT holder, principal FROM permits WHERE session = ? AND segment = ?", (session, segment)
            ).fetchall()
            for row in rows:
                if row["principal"] == principal and row["holder"] != holder:
                    raise AccessDenied(
                        "you have a permit for another key already: unsealing takes different people"
                    )
                if row["principal"] != principal and row["holder"] == holder:
                    raise AccessDenied("somebody else has the permit for this key already")
            connection.execute(
                "INSERT OR IGNORE INTO permits VALUES (?, ?, ?, ?, ?)",
                (session, segment, holder, principal, time.time()),
            )


def _holder(wanted: Wanted) -> Recipient:
    if not is_session(wanted.session):
        raise RecgateError("a permit is for one session: name it by its id")
    if not wanted.why.strip():
        raise AccessDenied("unsealing takes a reason: say --why")
    if len(wanted.why) > MAX_WHY:
        raise RecgateError(f"a reason has at most {MAX_WHY} characters")
    try:
        return Recipient.parse(wanted.holder)
    except BadText as exc:
        raise RecgateError(f"the holder's key {exc}") from None
