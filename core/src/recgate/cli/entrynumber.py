"""`--entry N` and `--entry N.P`: which entry is meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import click

from recgate.transcript.entries import Entry

__all__ = ["EntryNumber", "EntryNumberType"]

_NUMBER: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,9}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class EntryNumber:
    """The frame that an entry begins at, and which of the entries that begin there; None means all of them."""

    n: int
    part: int | None = None

    def names(self, entry: Entry) -> bool:
        """Say whether this is that entry."""
        return entry.n == self.n and self.part in (None, entry.part)

    def __str__(self) -> str:
        return str(self.n) if self.part is None else f"{self.n}.{self.part}"


class EntryNumberType(click.ParamType[EntryNumber]):
    """`12` or `12.1`, as `show` and `search` print them."""

    name = "entry"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> EntryNumber:
        """Give the number."""
        if isinstance(value, EntryNumber):
            return value
        match = _NUMBER.match(str(value))
        if match is None:
            self.fail(f"{value!r} is no entry; write its number, such as 12 or 12.1", param, ctx)
        return EntryNumber(int(match[1]), int(match[2]) if match[2] else None)
