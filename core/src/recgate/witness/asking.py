"""Ask a witness to vouch for a head, as a log does (C2SP tlog-witness): over HTTP, or on a disk of its own."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import httpx2
import trio

from recgate.errors import ConfigurationError, LedgerDamaged, RecgateError
from recgate.ledger.checkpointtext import parse_checkpoint, parse_size
from recgate.ledger.cosignature import Cosignature, cosignatures
from recgate.ledger.note import Note, Vkey
from recgate.witness.judging import Witness
from recgate.witness.request import MAX_ANSWER, SIZE_TYPE, pack_request, parse_answer

__all__ = ["Heard", "HttpJudge", "Judge", "PathJudge", "Refused", "Silent", "ask", "post"]

PATIENCE: Final = 20.0  # seconds for one answer
# The second tells us where the witness is; a third, that somebody else of ours has asked meanwhile.
MAX_QUESTIONS: Final = 4

# Gives the proof that a tree of so many entries grew out of one of so many.
Prove = Callable[[int, int], Awaitable[list[bytes]]]


class Silent(RecgateError):
    """A witness gave no answer that says anything about our head. It is asked again."""


class Refused(RecgateError):
    """A witness has seen another history of this ledger than we have, or does not know it. Asking again will not help.

    `conflict` says that it is about history: one of the two was changed.
    """

    def __init__(self, reason: str, *, conflict: bool = True) -> None:
        super().__init__(reason)
        self.conflict = conflict


class Judge(Protocol):
    """A witness to be asked."""

    async def answer(self, request: bytes) -> Heard:
        """Give its answer. Raises `Silent`."""
        ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What somebody answered: a status as of HTTP, the body, and its content type. Nothing of it is believed yet."""

    status: int
    body: bytes
    kind: str


class HttpJudge:
    """A witness over HTTP. `ca` holds the authorities of its certificate if they are not the system's."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        self._url = url.rstrip("/") + "/add-checkpoint"
        try:
            self._context = ssl.create_default_context(cafile=str(ca) if ca is not None else None)
        except OSError as exc:
            raise ConfigurationError(f"{ca}: cannot be read as authorities (PEM).") from exc

    async def answer(self, request: bytes) -> Heard:
        """POST the request; no redirect is followed. Raises `Silent`."""
        return await post(self._url, self._context, request, "text/plain; charset=utf-8")


async def post(url: str, context: ssl.SSLContext, body: bytes, kind: str) -> Heard:
    """POST once, with bounds on time and answer. Raises `Silent`, in words that name no address."""
    got, length = bytearray(), 0
    try:
        with trio.fail_after(PATIENCE):
            async with (
                httpx2.AsyncClient(verify=context, timeout=PATIENCE, trust_env=False) as client,
                client.stream("POST", url, headers={"content-type": kind}, content=body) as answer,
            ):
                async for part in answer.aiter_raw():
                    # What is too much is let go and read on, within the time limit: httpx2 leaves its streams open
                    # when one is left in its middle.
                    length += len(part)
                    got += part[: max(0, MAX_ANSWER - len(got))]
    except trio.TooSlowError:
        raise Silent(f"no answer within {PATIENCE:g} s") from None
    except (httpx2.HTTPError, OSError) as exc:
        raise Silent(f"it could not be reached ({type(exc).__name__})") from None
    if length > MAX_ANSWER:
        raise Silent(f"its answer is longer than {MAX_ANSWER} bytes")
    return Heard(answer.status_code, bytes(got), answer.headers.get("content-type", ""))


class PathJudge:
    """A witness whose directory is mounted here. A disk that hangs holds a thread, and nobody else."""

    def __init__(self, state: Path) -> None:
        self._state = state
        # Of its own, so that threads that hang are not those that others wait for.
        self._threads = trio.CapacityLimiter(1)

    async def answer(self, request: bytes) -> Heard:
        """Have the directory's witness judge. Raises `Silent`."""
        try:
            with trio.fail_after(PATIENCE):
                return await trio.to_thread.run_sync(
                    self._judge, request, abandon_on_cancel=True, limiter=self._threads
                )
        except trio.TooSlowError:
            raise Silent(f"{self._state}: no answer from its disk within {PATIENCE:g} s") from None
        except (RecgateError, OSError) as exc:
            raise Silent(str(exc)) from None

    def _judge(self, request: bytes) -> Heard:
        witness = Witness(self._state)
        try:
            answer = witness.judge(request)
            return Heard(answer.status, answer.body.encode(), answer.kind)
        finally:
            witness.memory.close()


async def ask(judge: Judge, key: Vkey, note: Note, known: int, prove: Prove) -> Cosignature:
    """Have a witness vouch for a head, beginning with what we think it knows; gives what it says, verified.

    Raises:
        Silent: no answer, or none that can be used. Cancelled, it may have cosigned: it then says so the next time.
        Refused: its answer is no.
    """
    head = parse_checkpoint(note.text)
    old = min(known, head.size)
    for _ in range(MAX_QUESTIONS):
        request = pack_request(old, await prove(old, head.size), note.encode())
        answer = await judge.answer(request)
        if answer.status == 200:
            return _said(answer, key, note)
        if answer.status != 409 or answer.kind != SIZE_TYPE:
            raise _refusal(answer, head.size)
        found = _size(answer)
        if found > head.size:
            raise Refused(
                f"it has seen {found} entries, and the ledger has {head.size}: the ledger was rolled back, or an older "
                "copy of it was restored"
            )
        if found == old:
            raise Silent(f"it wants to be asked from {found} entries on, and was")
        old = found
    raise Silent("it says another size each time it is asked")


def _said(answer: Heard, key: Vkey, note: Note) -> Cosignature:
    try:
        lines = parse_answer(answer.body)
        said = cosignatures(Note(note.text, lines), [key])
    except LedgerDamaged as exc:
        raise Silent(f"its answer is no cosignature: {exc}") from None
    if not said:
        names = ", ".join(sorted({line.name[:64] for line in lines}))
        raise Silent(f"its cosignature is of another key ({names}) than is configured")
    return said[0]


def _size(answer: Heard) -> int:
    try:
        return parse_size(answer.body.decode("latin-1").removesuffix("\n"), "its answer")
    except LedgerDamaged as exc:
        raise Silent(str(exc)) from None


def _refusal(answer: Heard, size: int) -> RecgateError:
    match answer.status:
        case 409 | 422:
            return Refused(
                f"it has seen another history: these {size} entries do not follow from what it cosigned before"
            )
        case 404:
            return Refused("it does not look at this ledger: `recgate witness follow` there", conflict=False)
        case 403:
            return Refused("it knows this ledger by another key", conflict=False)
        case status:
            return Silent(f"it answered with status {status}")
