"""Who got into a PostgreSQL server, by its log (`log_connections`), in each format that it writes (manual, 20.8).

`connection received` has the address, `connection authorized` the user and the application's name; the process id
joins them. In `csvlog` and `jsonlog` both are in one record. A line that goes on another message begins with a tab.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import Final, cast

from recgate.targetlog.arrivals import MAX_LINE, Arrival, time_of

__all__ = ["read_csvlog", "read_jsonlog", "read_stderr"]

MAX_PENDING: Final = 65_536  # connections that were received and neither let in nor turned away yet
_AUTHORIZED: Final = re.compile(
    r"(?:replication )?connection authorized: user=(.*?)(?: database=.*?)?"
    r"(?: application_name=(.*?))?(?: SSL enabled \(.*\)| GSS \(.*\))?\Z",
    re.DOTALL,
)
_RECEIVED: Final = re.compile(r"connection received: host=(\S+)(?: port=(\d+))?\Z")
_MESSAGE: Final = re.compile(r"(?:LOG|FATAL):  ")
_PROCESS: Final = re.compile(r"\[(\d+)\]")
_EPOCH: Final = re.compile(r"(?<!\d)(\d{10}\.\d{3})(?!\d)")
_CSV_FIELDS: Final = 23  # of the oldest server that is still supported


def read_stderr(lines: Iterable[tuple[int, str]], zone: tzinfo) -> Iterator[Arrival]:
    """Read what goes to standard error, or into files without a format; `log_line_prefix` has a time and `[%p]`."""
    pending: dict[str, tuple[str, int]] = {}
    for number, line in lines:
        found = _MESSAGE.search(line)
        if found is None or line.startswith("\t"):
            continue
        prefix, message = line[: found.start()], line[found.end() :]
        process = _PROCESS.search(prefix)
        pid = process[1] if process is not None else ""
        if (received := _RECEIVED.match(message)) is not None:
            if len(pending) >= MAX_PENDING:
                pending.pop(next(iter(pending)))
            pending[pid] = received[1], int(received[2] or 0)
        elif line[found.start()] == "F":
            pending.pop(pid, None)
        elif (authorized := _AUTHORIZED.match(message)) is not None:
            source, port = pending.pop(pid, ("", 0)) if pid else ("", 0)
            yield _arrival(number, _time(prefix, zone), authorized, source, port)


def read_csvlog(lines: Iterable[tuple[int, str]], zone: tzinfo) -> Iterator[Arrival]:
    """Read `csvlog`. A record that is none is passed over: what lets somebody in is written by the server alone."""
    at = _Numbered(lines)
    csv.field_size_limit(16 * MAX_LINE)
    records = csv.reader(at)
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except csv.Error:
            continue
        if len(record) < _CSV_FIELDS or record[11] != "LOG":
            continue
        if (authorized := _AUTHORIZED.match(record[13])) is not None:
            source, _, port = record[4].rpartition(":")
            if not port.isdecimal():
                source, port = record[4], "0"
            yield _arrival(at.number, time_of(record[0], zone), authorized, source.strip("[]"), int(port))


def read_jsonlog(lines: Iterable[tuple[int, str]], zone: tzinfo) -> Iterator[Arrival]:
    """Read `jsonlog` (PostgreSQL 15 and later)."""
    for number, line in lines:
        if "connection authorized: " not in line:
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(value, dict):
            continue
        record = cast("dict[str, object]", value)
        authorized = _AUTHORIZED.match(str(record.get("message")))
        if record.get("error_severity") == "LOG" and authorized is not None:
            port = record.get("remote_port")
            wall = time_of(str(record.get("timestamp")), zone)
            source = str(record.get("remote_host", ""))
            yield _arrival(number, wall, authorized, source, port if isinstance(port, int) else 0)


class _Numbered:
    """Passes lines on, and remembers which it was: a record may have several, of which the last counts here."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines = iter(lines)
        self.number = 0

    def __iter__(self) -> _Numbered:
        return self

    def __next__(self) -> str:
        self.number, line = next(self._lines)
        return line.replace("\0", "") + "\n"


def _time(prefix: str, zone: tzinfo) -> float | None:
    wall = time_of(prefix, zone)
    if wall is None and (found := _EPOCH.search(prefix)) is not None:
        wall = float(found[1])
    return wall


def _arrival(number: int, wall: float | None, found: re.Match[str], source: str, port: int) -> Arrival:
    return Arrival(number, wall, found[1], source, port, found[2] or "", "PostgreSQL")
