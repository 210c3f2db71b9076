"""What any log says of somebody who got in, and how a log of any length is read: line by line, each of bounded length.

Names in a log are chosen by whoever connects, so a line can lie. It can add arrivals, which are alarms; nothing here
lets one line take another back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import BinaryIO, Final

from recgate.ids import SESSION_ID_LENGTH, session_bytes

__all__ = ["MAX_LINE", "Arrival", "read_lines", "session_of", "time_of"]

MAX_LINE: Final = 1 << 20  # bytes; what says who got in is under 1 KiB, and statements are of no interest
_DIGITS: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)([.,]\d{1,9})?(?: ?(Z|[+-]\d\d(?::?\d\d)?|[A-Z][A-Za-z]{1,5}))?"
)
_OFFSET: Final = re.compile(r"([+-])(\d\d):?(\d\d)?\Z")
_LABEL: Final = re.compile(rf"recgate ([0-9A-Z]{{{SESSION_ID_LENGTH}}})(?: |\Z)")


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody got in. `wall` is wall-clock seconds or None where the line has no time; `source` without its port.

    `label` is what the client brought that can name a session: an `application_name`, a certificate's key id.
    """

    line: int
    wall: float | None
    user: str
    source: str
    port: int
    label: str
    how: str = ""


def session_of(label: str) -> str | None:
    """Give the session id that a label begins with, as the gateway writes it, or None."""
    found = _LABEL.match(label)
    if found is None:
        return None
    try:
        session_bytes(found[1])
    except ValueError:
        return None
    return found[1]


def time_of(text: str, zone: tzinfo) -> float | None:
    """Give wall-clock seconds of the first date and time in `text`; `zone` is for one without a zone that is clear."""
    found = _DIGITS.search(text)
    if found is None:
        return None
    day, clock, fraction, name = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=_zone(name, zone))
        return moment.timestamp() + (float("0." + fraction[1:]) if fraction else 0.0)
    except (ValueError, OverflowError):
        return None


def _zone(name: str | None, zone: tzinfo) -> tzinfo:
    if name in ("Z", "UTC", "GMT"):
        return UTC
    found = _OFFSET.match(name or "")
    if found is None:
        return zone  # `CEST` means one thing in the log's own country: what `zone` says
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return timezone(-offset if found[1] == "-" else offset)


def read_lines(
    file: BinaryIO, progress: Callable[[int], None] = lambda read: None
) -> Iterator[tuple[int, str]]:
    """Give number and text of each line, without its end. What is longer than `MAX_LINE` is cut.

    `progress` hears how many bytes have been read.
    """
    number = read = 0
    while data := file.readline(MAX_LINE):
        number += 1
        read += len(data)
        rest = data
        while not rest.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
            read += len(rest)
        if number % 1_000 == 0:
            progress(read)
        yield number, data.decode("utf-8", "replace").rstrip("\r\n")
    progress(read)
