"""What a terminal showed and what was typed into it, out of the frames of a protocol whose view is `terminal`.

Such a protocol records by these kinds: `data` and `ext` are bytes as they came, `request` (CBOR, type `pty-req`) and
`resize` carry `cols` and `rows`, `exit` the end of the program. Events are bytes: playing them is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from recgate.recording.frames import RecordedFrame
from recgate.sansio.frames import CLIENT, GATEWAY
from recgate.transcript.gatewayframes import gateway_body

__all__ = ["INPUT", "OUTPUT", "RESIZE", "Event", "Screen", "first_channel", "terminal_events"]

OUTPUT: Final = "o"
INPUT: Final = "i"
RESIZE: Final = "r"
EXIT: Final = "x"
SEARCHED: Final = 5_000  # frames in which a terminal is looked for; it is asked for before anything is typed

_DATA: Final = frozenset({"data", "ext"})


@dataclass(frozen=True, slots=True)
class Screen:
    """A terminal's size in cells, and its type as the client named it."""

    cols: int = 80
    rows: int = 24
    term: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """`code` as in asciicast (`o`, `i`, `r`, `x`), `t` µs; `data` for `o` and `i`, else `screen` or `status`."""

    t: int
    code: str
    data: bytes = b""
    screen: Screen = Screen()
    status: int = 0


def first_channel(open_frames: Callable[[], Iterable[RecordedFrame]]) -> tuple[int, Screen]:
    """Give the first channel that has a terminal, else the first that said something, and its first size."""
    speaking = 0
    for frame in islice(open_frames(), SEARCHED):
        if (screen := _asked_for(frame)) is not None:
            return frame.channel, screen
        if not speaking and frame.kind in _DATA and frame.side != CLIENT:
            speaking = frame.channel
    return speaking, Screen()


def terminal_events(frames: Iterable[RecordedFrame], channel: int) -> Iterator[Event]:
    """Give the events of one channel, streaming. What the gateway said on it was shown as well."""
    for frame in frames:
        if frame.channel != channel:
            continue
        if frame.kind in _DATA:
            yield Event(frame.t, INPUT if frame.side == CLIENT else OUTPUT, frame.data)
        elif (screen := _asked_for(frame)) is not None:
            yield Event(frame.t, RESIZE, screen=screen)
        elif frame.kind == "exit":
            status = gateway_body(frame).get("status")
            yield Event(frame.t, EXIT, status=status if isinstance(status, int) else 255)


def _asked_for(frame: RecordedFrame) -> Screen | None:
    if frame.kind not in ("request", "resize") or frame.side == GATEWAY:
        return None
    body = gateway_body(frame)
    if frame.kind == "request" and body.get("type") != "pty-req":
        return None
    cols, rows, term = body.get("cols"), body.get("rows"), body.get("term", "")
    if not isinstance(cols, int) or not isinstance(rows, int):
        return None
    # 0 means unknown to the client (RFC 4254 §6.2); players need some size, and no window is larger than this.
    return Screen(min(cols or 80, 1000), min(rows or 24, 1000), term if isinstance(term, str) else "")
