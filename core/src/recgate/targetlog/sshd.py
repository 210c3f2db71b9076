"""Who got into a machine by OpenSSH, by the log of its sshd: files of syslog, and journald's two exports.

    Accepted publickey for deploy from 10.0.0.7 port 50412 ssh2: ED25519-CERT SHA256:… ID KEYID (serial 1) CA …

That an account is named so that its name looks like this line is no way in: a name is only accepted if it is there.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Final, cast

from recgate.targetlog.arrivals import MAX_LINE, Arrival, time_of

__all__ = ["SSHD", "read_journal_export", "read_journal_json", "read_sshd"]

SSHD: Final = re.compile(r"(?:^|\s)sshd(?:-session|-auth)?(?:\[\d+\])?: ")
MAX_FIELD: Final = MAX_LINE  # bytes of a journal's field
_ACCEPTED: Final = re.compile(r"Accepted (\S+) for (.+?) from (\S+) port (\d+) ssh2(?:: (.*))?\Z", re.DOTALL)
_CERTIFICATE: Final = re.compile(r"\S+-CERT \S+ ID (.*) \(serial \d+\) CA \S+ \S+\Z", re.DOTALL)
_SYSLOG: Final = re.compile(r"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY: Final = 86_400


def read_sshd(lines: Iterable[tuple[int, str]], zone: tzinfo, now: float | None = None) -> Iterator[Arrival]:
    """Read lines of syslog (with either kind of time), or of `sshd -E`, which have none.

    A time without a year is in the year before `now` (wall-clock seconds).
    """
    now = time.time() if now is None else now
    for number, line in lines:
        tag = SSHD.search(line)
        start = tag.end() if tag is not None else 0
        found = _ACCEPTED.match(line, start)
        if found is not None:
            yield _arrival(number, _time(line[:start], zone, now), found)


def read_journal_json(lines: Iterable[tuple[int, str]], zone: tzinfo) -> Iterator[Arrival]:
    """Read `journalctl -o json`. Its times need no zone."""
    for number, line in lines:
        if "MESSAGE" not in line:
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            yield from _journalled(number, cast("dict[str, object]", value))


def read_journal_export(lines: Iterable[tuple[int, str]], zone: tzinfo) -> Iterator[Arrival]:
    """Read `journalctl -o export`. A field with control characters is binary there, and no line of sshd's."""
    fields: dict[str, object] = {}
    first = 0
    for number, line in lines:
        name, is_field, value = line.partition("=")
        if not line:
            yield from _journalled(first, fields)
            fields, first = {}, 0
        elif is_field and name in _WANTED:
            fields.setdefault(name, value)
            first = first or number
    yield from _journalled(first, fields)


_WANTED: Final = frozenset({"MESSAGE", "SYSLOG_IDENTIFIER", "_COMM", "__REALTIME_TIMESTAMP"})


def _journalled(number: int, record: dict[str, object]) -> Iterator[Arrival]:
    # `_COMM` is journald's own finding; the identifier is what the writer says, and anybody may write to the journal.
    writer = str(record.get("_COMM") or record.get("SYSLOG_IDENTIFIER") or "")
    found = _ACCEPTED.match(_text(record.get("MESSAGE")))
    if found is None or not writer.startswith("sshd"):
        return
    stamp = str(record.get("__REALTIME_TIMESTAMP", ""))
    yield _arrival(number, int(stamp) / 1e6 if stamp.isdecimal() and len(stamp) < 20 else None, found)


def _text(value: object) -> str:
    # A message with bytes that are no text is a list of numbers in JSON.
    if isinstance(value, list):
        numbers = cast("list[object]", value)[:MAX_FIELD]
        return bytes(each for each in numbers if isinstance(each, int) and 0 <= each < 256).decode(
            "utf-8", "replace"
        )
    return value if isinstance(value, str) else ""


def _time(prefix: str, zone: tzinfo, now: float) -> float | None:
    found = _SYSLOG.match(prefix)
    if found is None or found[1] not in _MONTHS:
        return time_of(prefix, zone)
    month, numbers = _MONTHS.index(found[1]) + 1, [int(each) for each in found.groups()[1:]]
    year = datetime.fromtimestamp(now, zone).year
    for candidate in (year, year - 1):
        try:
            wall = datetime(candidate, month, *numbers, tzinfo=zone).timestamp()
        except ValueError:
            continue  # the 29th of February of a year without one
        if wall <= now + _DAY:
            return wall
    return None


def _arrival(number: int, wall: float | None, found: re.Match[str]) -> Arrival:
    how, user, source, port, key = found.groups()
    certificate = _CERTIFICATE.match(key or "")
    label = certificate[1] if certificate is not None else ""
    return Arrival(number, wall, user, source, int(port), label, f"SSH, {how}")
