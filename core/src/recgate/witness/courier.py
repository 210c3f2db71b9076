"""Bring every new head of the ledger to those who vouch for it, and say so when one of them does not.

One task for each witness, so that a slow one delays nobody. A witness that refuses has seen another history than ours:
that is the loudest thing a gateway can have to say.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog
import trio
from cryptography import x509

from recgate.config.witnesses import SilenceSettings, WitnessSettings
from recgate.errors import LedgerDamaged, RecgateError, RecordingFailed
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.cosignature import cosignatures
from recgate.ledger.note import MAX_NOTE, Line, Note, Vkey, parse_note
from recgate.ledger.proof import consistency_proof
from recgate.metrics import WITNESS_ANSWERS, WITNESSED
from recgate.witness.asking import HttpJudge, Judge, PathJudge, Refused, Silent, ask, post
from recgate.witness.timestamps import QUERY_TYPE, Query, authorities, stamp_path, stamped, verify_stamp
from recgate.witness.vouching import keep, kept, put

__all__ = ["Courier", "Log"]

LOOK: Final = 1.0  # seconds between looks at the checkpoint
HEARTBEAT: Final = 600.0  # seconds after which a witness is asked again although nothing changed
RETRY_FIRST, RETRY_LAST = 1.0, 60.0  # seconds before a witness that failed is asked again
GRACE: Final = 30.0  # seconds after a start in which what was owed before is not held against a witness

log = structlog.get_logger("recgate.witness")


class Log(Protocol):
    """The ledger, as far as witnesses have to do with it. Its methods wait for disks."""

    @property
    def directory(self) -> Path:
        """Where it is."""
        ...

    def subtree(self, start: int, end: int) -> bytes:
        """Give the root over the entries [start, end)."""
        ...

    def countersign(self, text: str, lines: Sequence[Line]) -> bool:
        """Add cosignatures to the checkpoint, if it still has this text."""
        ...


class _Seat(Protocol):
    name: str
    every: float
    heartbeat: float

    def before(self, ledger: Path) -> tuple[int, float]: ...

    async def vouch(self, ledger: Log, note: Note, size: int, known: int) -> float: ...


class Courier:
    """What a gateway has to do with its witnesses. `emit` is the audit trail's.

    Args:
        ledger: the ledger.
        witnesses: as configured.
        silence: what is done about those that say nothing.
        emit: where it is said.
        clock: gives seconds since 1970.

    Raises:
        ConfigurationError: the authorities of one cannot be read.
    """

    def __init__(
        self,
        ledger: Log,
        witnesses: Sequence[WitnessSettings],
        silence: SilenceSettings,
        emit: Callable[..., None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._silence = silence
        self._emit = emit
        self._clock = clock
        self._rounds = [_Round(_seat(each), emit) for each in witnesses]

    def check(self) -> None:
        """Raise `RecordingFailed` while no session may be opened because of a witness. Says which, and what to do."""
        if self._silence.then == "warn":
            return
        for each in self._rounds:
            if each.refused:
                raise RecordingFailed(
                    f"witness {each.seat.name} refuses this ledger: {each.refused}. Compare the ledger with a backup "
                    "and with what the witness has seen (`recgate witness show`). No session was opened."
                )
            if each.silent:
                raise RecordingFailed(
                    f"witness {each.seat.name} has not vouched for the ledger for {self._silence.after:.0f} s "
                    f"({each.reason or 'no answer yet'}). See why; recording.witness_silence says what is done about "
                    "it. No session was opened."
                )

    async def run(self) -> None:
        """Ask until cancelled. What a witness has agreed to by then and was not put away is asked for again."""
        async with trio.open_nursery() as nursery:
            for each in self._rounds:
                nursery.start_soon(self._attend, each)

    async def _attend(self, each: _Round) -> None:
        each.size, each.vouched = await trio.to_thread.run_sync(each.seat.before, self._ledger.directory)
        WITNESSED.labels(each.seat.name).set(each.vouched)
        grace = self._clock() + GRACE
        while True:
            note = await trio.to_thread.run_sync(self._current)
            now = self._clock()
            if note is not None and each.is_due(note, now):
                if not each.owed:
                    # Who restarts the gateway does not make it forget since when nobody has vouched for it.
                    each.owed = now if each.text else each.vouched or now
                await self._ask(each, note)
                now = self._clock()
            late = each.owed + self._silence.after
            if late < grace and each.vouched:
                late = grace
            each.hear(bool(each.owed) and now > late, self._silence.after)
            await trio.sleep(min(LOOK, self._silence.after / 4))

    def _current(self) -> Note | None:
        try:
            with open(self._ledger.directory / "checkpoint", "rb") as file:
                return parse_note(file.read(MAX_NOTE + 1))
        except (FileNotFoundError, LedgerDamaged, OSError):
            return None  # who writes it says what is wrong

    async def _ask(self, each: _Round, note: Note) -> None:
        size = parse_checkpoint(note.text).size
        try:
            each.vouched = await each.seat.vouch(self._ledger, note, size, each.size)
        except Refused as exc:
            each.fails(str(exc), self._clock(), conflict=exc.conflict, size=size)
        except (RecgateError, OSError) as exc:
            each.fails(str(exc), self._clock())
        else:
            each.agreed(note.text, size)


@dataclass(slots=True)
class _Round:
    """How it stands with one witness."""

    seat: _Seat
    emit: Callable[..., None]
    text: str = ""  # what it vouched for last
    size: int = 0
    vouched: float = 0.0
    owed: float = 0.0  # since when it owes us an answer
    again: float = 0.0  # not before
    delay: float = RETRY_FIRST
    reason: str = ""
    refused: str = ""
    silent: bool = False

    def is_due(self, note: Note, now: float) -> bool:
        """Say whether to ask now."""
        if now < self.again and self.again - now <= RETRY_LAST:
            return False  # a clock that was set back must not silence us for good
        if note.text == self.text and not self.owed:
            return now - self.vouched >= self.seat.heartbeat
        return now - self.vouched >= self.seat.every or now < self.vouched

    def agreed(self, text: str, size: int) -> None:
        """It has vouched for a head."""
        if self.refused:
            self.emit("witness.agreed", witness=self.seat.name, size=size)
        WITNESSED.labels(self.seat.name).set(self.vouched)
        WITNESS_ANSWERS.labels(self.seat.name, "cosigned").inc()
        self.text, self.size = text, size
        self.owed = self.again = 0.0
        self.delay, self.reason, self.refused = RETRY_FIRST, "", ""

    def fails(self, reason: str, now: float, *, conflict: bool = False, size: int = 0) -> None:
        """It has not. With `conflict`, it says that our history is another one than it has seen."""
        WITNESS_ANSWERS.labels(self.seat.name, "refused" if conflict else "silent").inc()
        if conflict and reason != self.refused:
            log.error("witness.conflict", witness=self.seat.name, reason=reason, size=size)
            self.emit("witness.refused", witness=self.seat.name, reason=reason, size=size)
        elif reason != self.reason:
            log.warning("witness.unheard", witness=self.seat.name, reason=reason)
        self.refused = reason if conflict else self.refused
        self.reason = reason
        self.again, self.delay = now + self.delay, min(self.delay * 2, RETRY_LAST)

    def hear(self, late: bool, after: float) -> None:
        """Say once that it has become silent, and once that it is not any more."""
        if late == self.silent:
            return
        self.silent = late
        if late:
            log.error("witness.late", witness=self.seat.name, seconds=after, reason=self.reason)
            self.emit("witness.silent", witness=self.seat.name, seconds=after, reason=self.reason)
        else:
            self.emit("witness.heard", witness=self.seat.name)


def _seat(settings: WitnessSettings) -> _Seat:
    if settings.rfc3161 is not None:
        assert settings.ca is not None
        return _Authority(settings.rfc3161, authorities(settings.ca), settings.every)
    assert settings.key is not None
    key = Vkey.parse(settings.key)
    if settings.path is not None:
        return _Cosigner(key, PathJudge(settings.path))
    assert settings.url is not None
    return _Cosigner(key, HttpJudge(settings.url, settings.ca))


class _Cosigner:
    """A witness as C2SP has them."""

    every = 0.0
    heartbeat = HEARTBEAT

    def __init__(self, key: Vkey, judge: Judge) -> None:
        self.name = key.name
        self._key = key
        self._judge = judge

    def before(self, ledger: Path) -> tuple[int, float]:
        """Give the size of what it has cosigned, and when, as far as that is put away here."""
        best = (0, 0.0)
        try:
            for _, data in kept(ledger):
                note = parse_note(data)
                for said in cosignatures(note, [self._key]):
                    best = max(best, (parse_checkpoint(note.text).size, float(said.time)))
        except (LedgerDamaged, OSError) as exc:
            log.warning("witness.unread", witness=self.name, reason=str(exc))
        return best

    async def vouch(self, ledger: Log, note: Note, size: int, known: int) -> float:
        """Have it cosign a head, and put that away; gives its time. Raises `Silent` or `Refused`."""

        async def prove(old: int, new: int) -> list[bytes]:
            return await trio.to_thread.run_sync(consistency_proof, ledger.subtree, old, new)

        said = await ask(self._judge, self._key, note, known, prove)
        await trio.to_thread.run_sync(keep, ledger.directory, note, said)
        await trio.to_thread.run_sync(ledger.countersign, note.text, [said.line])
        return float(said.time)


class _Authority:
    """A time-stamp authority (RFC 3161)."""

    heartbeat = float("inf")

    def __init__(self, url: str, roots: list[x509.Certificate], every: float) -> None:
        self.name = f"rfc3161 {url.partition('://')[2].partition('/')[0]}"
        self.every = every
        self._url = url
        self._roots = roots
        self._context = ssl.create_default_context()

    def before(self, ledger: Path) -> tuple[int, float]:
        """Give the size of the newest time stamp, and when its file was written."""
        sizes = stamped(ledger)
        if not sizes:
            return 0, 0.0
        return sizes[-1], stamp_path(ledger, sizes[-1]).stat().st_mtime

    async def vouch(self, ledger: Log, note: Note, size: int, known: int) -> float:
        """Have it stamp a head, and put that away; gives its time. Raises `Silent`."""
        query = Query.over(note.text)
        answer = await post(self._url, self._context, query.data, QUERY_TYPE)
        if answer.status != 200:
            raise Silent(f"it answered with status {answer.status}")
        try:
            when = verify_stamp(answer.body, note.text, self._roots, query.nonce)
        except LedgerDamaged as exc:
            raise Silent(str(exc)) from None
        path = stamp_path(ledger.directory, size)
        if not path.exists():  # the earlier one says more
            await trio.to_thread.run_sync(put, path, answer.body)
        return float(when)
