"""From a recording's frames to its entries, streaming: a large recording needs no more memory than a small one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from recgate.providers import ProtocolProvider
from recgate.recording.frames import RecordedFrame
from recgate.transcript.entries import Entry
from recgate.transcript.transcribing import SessionTranscriber

__all__ = ["as_json", "json_line", "read_entries"]


def read_entries(
    frames: Iterable[RecordedFrame], protocols: Mapping[str, ProtocolProvider], *, rows: bool = False
) -> Iterator[Entry]:
    """Give the entries of a recording from its first frame on. With `rows`, result rows are decoded.

    Whatever reading the frames raises passes through, after the entries before it.
    """
    transcriber: SessionTranscriber | None = None
    for frame in frames:
        if transcriber is None:
            transcriber = SessionTranscriber.at(protocols, frame, rows=rows)
        yield from transcriber.feed(frame)
    if transcriber is not None:
        yield from transcriber.finish()


def as_json(entry: Entry) -> dict[str, object]:
    """Give an entry in the shape of `show --json`: `n, t, side, channel, kind` and what the kind has."""
    shown: dict[str, object] = {
        "n": entry.n,
        "t": entry.t,
        "side": entry.side,
        "channel": entry.channel,
        "kind": entry.kind,
    }
    if entry.part:
        shown["part"] = entry.part
    for key, value in entry.body.items():
        shown.setdefault(key, _jsonable(value))
    return shown


def json_line(value: Mapping[str, object]) -> str:
    """Write an object as one line of JSON, in ASCII: whatever it holds does not act on a terminal."""
    return json.dumps(value, separators=(",", ":"), default=str) + "\n"


def _jsonable(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): _jsonable(each) for key, each in cast("Mapping[object, object]", value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(each) for each in cast("Iterable[object]", value)]
    return value
