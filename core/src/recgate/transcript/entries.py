"""The transcript's contract: one step of a session as an entry, and the incremental code that makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from recgate.recording.frames import RecordedFrame

__all__ = ["Entry", "Transcriber"]


@dataclass(slots=True)
class Entry:
    """One step. `n` is the number of the frame it begins at, so it never changes once recorded.

    `t` is µs since the session opened, `kind` one of `sql`, `rows`, `shell`, `key`, `screen`, `file`, `login`,
    `decision`, `mask`, `held`, `resize`, `note`, `gap`, `closed` … `body` is JSON-able and keyed as promised for
    `show --json`. `text` is what search sees; `terms` are exact search terms such as `("verb", "drop")`.
    One frame may begin several entries (pipelined statements): `part` counts those of one kind from 0. The core
    sets it; transcribers leave it alone.

    Result rows, decoded only where the transcriber was made with `rows`, come in entries of kind `rows` with body
    `{columns: [name], rows: [[text or None]]}`, at most some hundred rows each so that any result is streamed. They
    have the `n` of their statement and are given before the statement's own entry, whose part they share.
    """

    n: int
    t: int
    side: int
    channel: int
    kind: str
    body: Mapping[str, object] = field(default_factory=dict[str, object])
    text: str = ""
    terms: tuple[tuple[str, str], ...] = ()
    part: int = 0


class Transcriber(Protocol):
    """Derives entries from frames, one segment after the other, in bounded memory.

    Made with `rows` false (indexing) it counts result rows without decoding them.
    """

    def feed(self, frame: RecordedFrame) -> Iterable[Entry]:
        """Take the next frame and give the entries that it completes."""
        ...

    def finish(self) -> Iterable[Entry]:
        """The recording ends here: give what was left incomplete."""
        ...

    def save(self) -> bytes:
        """Serialise the state at a segment border, at most 64 KiB, so that indexing can go on from there."""
        ...
