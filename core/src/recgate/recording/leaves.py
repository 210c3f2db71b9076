"""The ledger's leaves for recordings: opened, each segment, closed; and those that a dead gateway still owed.

A leaf is written when what it stands for is durable in the store and before it leaves the journal. So after a crash
at most the last leaf is missing, and the journal is still there to say so. A leaf may stand there twice, since nobody
who was killed between writing and hearing of it knows better; it says the same both times.
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import LedgerDamaged, RecordingFailed
from recgate.ids import session_bytes
from recgate.keys.files import read_private
from recgate.keys.history import History
from recgate.keys.keeping import load_signing
from recgate.ledger.entries import NOBODY, pack_entry, read_entry, who_is
from recgate.ledger.log import Ledger
from recgate.providers import RecordingStore
from recgate.recording.directory import HEADER_NAME, is_session
from recgate.recording.seal import read_header
from recgate.recording.segment import read_segment, segment_name

__all__ = ["LedgerPlan", "Leaves"]

# Clocks go wrong. A leaf that is not found because of it is written a second time, which is harmless.
CLOCK_SLACK: Final = 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class LedgerPlan:
    """What is needed to append to a gateway's ledger. `key` and `subjects` are private: 32 bytes each.

    `keys` is the directory in which the key that follows `key` is found when somebody has rotated it.
    """

    directory: str
    gateway: str
    origin: str
    key: bytes
    subjects: bytes
    keys: str = ""

    def __repr__(self) -> str:
        return f"LedgerPlan({self.directory!r}, {self.origin!r})"

    def open(self) -> Ledger:
        """Give the ledger; a new one begins by saying whose it is."""
        return Ledger(
            Path(self.directory),
            Ed25519PrivateKey.from_private_bytes(self.key),
            self.origin,
            first=lambda: pack_entry("node", time.time_ns(), self.gateway),
            renewed=self._renewed if self.keys else None,
        )

    def _renewed(self) -> tuple[Ed25519PrivateKey, Sequence[bytes]]:
        directory = Path(self.keys)
        path = directory / "ledger.pem"
        key = load_signing(read_private(path), path, None)
        assert isinstance(key, Ed25519PrivateKey)  # without a keeper it is nothing else
        return key, [each.public for each in History.load(directory).of("ledger")]

    def log_rotation(self, what: str, old: str, new: str) -> None:
        """Enter that a key was changed, named by fingerprints, under a head that the newest ledger key signs.

        Raises:
            RecordingFailed: the ledger does not take it now.
            LedgerDamaged, ConfigurationError: it is not what its key has signed, or its key cannot be read.
        """
        ledger = self.open()
        ledger.append([pack_entry("key", time.time_ns(), what, _key_digest(old), _key_digest(new))])
        ledger.publish()


def _key_digest(name: str) -> bytes:
    """Give the digest behind a fingerprint, or that of a name that is none."""
    kind, _, text = name.partition(":")
    if kind == "SHA256":
        return base64.b64decode(text + "=")
    return hashlib.sha256(name.encode()).digest()


@dataclass(slots=True)
class _Known:
    """Which leaves of a session there are."""

    opened: bool = False
    sealed: set[int] = field(default_factory=set[int])
    ended: bool = False


class Leaves:
    """Writes them, for the sealing worker. `journals` is where the sessions are that may have died.

    Every method raises `RecordingFailed` when the ledger does not take it now: nothing has changed then, and the same
    call can be made again.
    """

    def __init__(self, plan: LedgerPlan, journals: Path) -> None:
        self._ledger = plan.open()
        self._subjects = plan.subjects
        self._journals = journals
        self._known: dict[bytes, _Known] = {}

    def opened(self, session: str, commitment: bytes, opened: Mapping[str, object]) -> None:
        """A session has begun. `commitment` is that of its first frame, as its header will have it."""
        self._append([self._open(session, commitment, opened)])

    def sealed(
        self, session: str, segment: int, first: int, count: int, seal: bytes, data: bytes, *, end: bool
    ) -> None:
        """A segment is stored: `data`, whose seal has the digest `seal`. With `end`, it is the last."""
        stored = hashlib.sha256(data).digest()
        number = session_bytes(session)
        entries = [pack_entry("seal", time.time_ns(), number, segment, first, count, seal, stored)]
        if end:
            entries.append(pack_entry("close", time.time_ns(), number, segment, first + count, seal))
        self._append(entries)

    def aborted(self, session: str, reason: str) -> None:
        """Nothing more will come of a session that the ledger has opened: `reason` is a word of ours."""
        known = self._know(session)
        if known.opened and not known.ended:
            self._append([pack_entry("abort", time.time_ns(), session_bytes(session), reason)])
            known.ended = True

    def catch_up(self, store: RecordingStore, session: str, opened: Mapping[str, object]) -> None:
        """Write what is missing for all that the store has of a session. Nobody else seals it meanwhile."""
        known = self._know(session)
        names = store.objects(session)
        if not known.opened and HEADER_NAME in names:
            header, _ = read_header(store.get(session, HEADER_NAME))
            self._append([self._open(session, header.opened, opened)])
            known.opened = True
        last = sum(name.endswith(".seg") for name in names)
        for number in range(1, last + 1):
            if number in known.sealed and (number < last or known.ended):
                continue
            data = store.get(session, segment_name(number))
            segment = read_segment(data)
            seal = segment.seal
            if number not in known.sealed:
                self.sealed(
                    session,
                    number,
                    seal.first,
                    seal.count,
                    segment.seal_digest,
                    data,
                    end=seal.end is not None,
                )
                known.sealed.add(number)
            elif seal.end is not None:
                close = (session_bytes(session), number, seal.first + seal.count, segment.seal_digest)
                self._append([pack_entry("close", time.time_ns(), *close)])
            known.ended |= seal.end is not None

    def _open(self, session: str, commitment: bytes, opened: Mapping[str, object]) -> bytes:
        issuer, subject = opened.get("issuer"), opened.get("subject")
        who = NOBODY
        if isinstance(issuer, str) and isinstance(subject, str):
            who = who_is(self._subjects, issuer, subject)
        return pack_entry("open", time.time_ns(), session_bytes(session), commitment, who)

    def _append(self, entries: list[bytes]) -> None:
        try:
            self._ledger.append(entries)
        except LedgerDamaged as error:
            # Nothing may be sealed past it, and nothing is lost: what waits is in the journal.
            raise RecordingFailed(str(error)) from error

    # -- what is there already -------------------------------------------------------------------------

    def _know(self, session: str) -> _Known:
        number = session_bytes(session)
        if number not in self._known:
            # One look for all that may have died with the gateway.
            wanted = {session_bytes(name) for name in os.listdir(self._journals) if is_session(name)} | {
                number
            }
            self._known.update({each: _Known() for each in wanted})
            try:
                self._look(wanted)
            except LedgerDamaged as error:
                raise RecordingFailed(str(error)) from error
        # What this process writes from now on is not looked up again: a session is recovered once.
        return self._known[number]

    def _look(self, wanted: Iterable[bytes]) -> None:
        """Go back from the end until every session's first leaf is found, or none can come any more."""
        missing = set(wanted)
        # A session id begins with its milliseconds (RFC 9562 §5.7).
        oldest = min(int.from_bytes(each[:6], "big") for each in missing) * 10**6 - CLOCK_SLACK
        for bundle in self._ledger.backwards():
            for data in reversed(bundle):
                entry = read_entry(data)
                known = self._known.get(entry.session or b"")
                if known is None:
                    continue
                match entry.kind:
                    case "open":
                        known.opened = True
                        missing.discard(entry.session or b"")
                    case "seal":
                        known.sealed.add(entry.number("segment"))
                    case "close" | "abort":
                        known.ended = True
                    case _:
                        pass
            if not missing or (bundle and read_entry(bundle[0]).wall < oldest):
                return
