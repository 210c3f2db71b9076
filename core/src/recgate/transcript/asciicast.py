"""Write terminal events as asciicast, the format that asciinema and its web player read (versions 2 and 3)."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from recgate.transcript.terminal import EXIT, INPUT, OUTPUT, RESIZE, Event, Screen

__all__ = ["MARKER", "CastHead", "write_asciicast"]

MARKER: Final = "m"

Version = Literal[2, 3]


@dataclass(frozen=True, slots=True)
class CastHead:
    """What stands in the first line: when it began (wall-clock seconds), what it is, and the first size."""

    started: float
    title: str
    screen: Screen


def write_asciicast(head: CastHead, events: Iterable[Event], version: Version = 2) -> Iterator[str]:
    """Give the lines of a cast, each with its newline, as the events come.

    Text is what the format holds, so bytes that are no UTF-8 become U+FFFD; a character cut between two events
    belongs to the later. An event with code `m` is a marker with its label in `data`.
    """
    yield _line(_head(head, version))
    output, typed = _decoder(), _decoder()
    before, size = 0, (head.screen.cols, head.screen.rows)
    for event in events:
        if event.code == RESIZE:
            now = (event.screen.cols, event.screen.rows)
            text = "" if now == size else f"{now[0]}x{now[1]}"
            size = now
        elif event.code == EXIT:
            text = str(event.status) if version == 3 else ""  # version 2 has no such event
        elif event.code in (OUTPUT, INPUT):
            text = (output if event.code == OUTPUT else typed).decode(event.data)
        else:
            text = event.data.decode("utf-8", "replace")
        if not text:
            continue
        at = max(event.t, before)  # times never go back
        yield _line([round((at - before if version == 3 else at) / 1e6, 6), event.code, text])
        before = at


def _head(head: CastHead, version: Version) -> dict[str, object]:
    screen = head.screen
    common: dict[str, object] = {"timestamp": int(head.started), "title": head.title}
    if version == 3:
        term: dict[str, object] = {"cols": screen.cols, "rows": screen.rows}
        return {"version": 3, "term": term | ({"type": screen.term} if screen.term else {}), **common}
    env = {"env": {"TERM": screen.term}} if screen.term else {}
    return {"version": 2, "width": screen.cols, "height": screen.rows, **common, **env}


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


def _line(value: object) -> str:
    # In ASCII, so that a cast on a terminal is text and no player.
    return json.dumps(value, separators=(", ", ": ")) + "\n"
