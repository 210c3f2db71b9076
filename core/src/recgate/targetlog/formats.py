"""Which format a log has, by its first lines, and what reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import tzinfo
from itertools import chain, islice
from typing import Final

from recgate.errors import RecgateError
from recgate.targetlog.arrivals import Arrival
from recgate.targetlog.postgres import read_csvlog, read_jsonlog, read_stderr
from recgate.targetlog.sshd import SSHD, read_journal_export, read_journal_json, read_sshd

__all__ = ["FORMATS", "read_log"]

Reader = Callable[[Iterable[tuple[int, str]], tzinfo], Iterator[Arrival]]
FORMATS: Final[Mapping[str, Reader]] = {
    "stderr": read_stderr,
    "csvlog": read_csvlog,
    "jsonlog": read_jsonlog,
    "sshd": read_sshd,
    "journal-json": read_journal_json,
    "journal-export": read_journal_export,
}
MAX_LOOK: Final = 200  # lines by which a format is known
_SIGNS: Final = (
    (re.compile(r'\{.*"__REALTIME_TIMESTAMP"'), "journal-json"),
    (re.compile(r'\{"timestamp": ?".*"error_severity":'), "jsonlog"),
    (re.compile(r"__(?:CURSOR|REALTIME_TIMESTAMP)="), "journal-export"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [^,]+,"), "csvlog"),
    (re.compile(r".*?(?:LOG|FATAL|ERROR|WARNING|STATEMENT|DETAIL|HINT):  "), "stderr"),
    (re.compile(r"(?:Server listening on |Accepted \S+ for |Connection (?:from|closed by) )"), "sshd"),
)


def read_log(lines: Iterator[tuple[int, str]], name: str, zone: tzinfo) -> Iterator[Arrival]:
    """Give the arrivals of a log of the format `name`, or of the one that it seems to have (`auto`).

    Raises:
        RecgateError: no format is known that begins so.
    """
    if name == "auto":
        head = list(islice(lines, MAX_LOOK))
        name, lines = _format_of(head), chain(head, lines)
    return FORMATS[name](lines, zone)


def _format_of(head: Iterable[tuple[int, str]]) -> str:
    empty = True
    for _, line in head:
        empty = empty and not line
        for sign, name in _SIGNS:
            if sign.match(line):
                return name
        if SSHD.search(line):
            return "sshd"
    if empty:
        raise RecgateError("the log is empty")
    raise RecgateError(
        f"the first {MAX_LOOK} lines are of no log that is known: say --format ({', '.join(FORMATS)})"
    )
