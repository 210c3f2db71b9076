"""One message of the target's, taken apart where something in it may have to be masked, and put together again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate.mask.masking import MaskFailed, Masking
from recgate_postgres.maskcopy import BinaryCopy
from recgate_postgres.maskfound import Found
from recgate_postgres.maskvalues import decodes, masked_copy, masked_text, masked_value
from recgate_postgres.messages import message
from recgate_postgres.origin.copies import CopyMask
from recgate_postgres.origin.outcomes import Outcome, Plan
from recgate_postgres.origin.reports import withheld
from recgate_postgres.origin.wholly import derived, masked_wholly
from recgate_postgres.rows import Column
from recgate_postgres.shapes import Shapes

__all__ = ["Messages"]

_LENGTH: Final = struct.Struct("!i")
_COLUMN_REST: Final = 18  # bytes of a column in a RowDescription behind its name
_ROW, _COPIED, _ERROR, _NOTICE, _NOTIFY, _STATUS, _COLUMNS, _CALLED = b"DdENASTV"
# Fields of a report that are words of the protocol and never of a value (55.8).
_FIXED: Final = frozenset(b"SVCPpFLR")
_UNKNOWN: Final = Column("?", 0)
_FAR: Final = 1 << 62
Place = tuple[int, int]


class Messages:
    """Masks messages of one read after the other: `begin` with the read, then ask in order."""

    __slots__ = (
        "_at",
        "_binary",
        "_checked",
        "_columns",
        "_content",
        "_copy",
        "_copying",
        "_every",
        "_holds",
        "_looks",
        "_masking",
        "_places",
        "_shapes",
    )

    TEXTS: Final = frozenset((_ERROR, _NOTICE, _NOTIFY, _STATUS, _COLUMNS, _CALLED))

    def __init__(
        self, masking: Masking, shapes: Shapes, holds: Callable[[Plan], bool] = lambda plan: True
    ) -> None:
        """`holds` says whether what a plan was made with still holds."""
        self._content = masking.looks
        self._holds = holds
        self._checked: Plan | None = None  # the plan of which that was asked last, and it does
        self._copy: CopyMask | None = None
        self._copying = 0  # the number of the COPY that it is for
        self._masking = masking
        self._shapes = shapes
        self._places: Sequence[Place] = ()
        self._at = 0  # the first place that is not behind us
        self._every = False  # every value must be looked at
        self._columns: tuple[Column, ...] | None = None  # which `_looks` is about
        self._looks = False
        self._binary = BinaryCopy(masking)

    def begin(self, data: bytes) -> None:
        """Look through a read at once. Raises `MaskFailed`, after which every value is looked at."""
        self._at = 0
        self._places = ()
        self._every = self._content
        if not self._content:
            return
        places = self._masking.hints(data)
        if places is not None:
            self._places = places
            # What `bytea` shows in hexadecimal shows nothing to a pattern.
            self._every = b"\\x" in data

    def calm(self, position: int) -> int:
        """Give the offset up to which rows that begin at `position` or behind it go on as they are; 0 for none."""
        shapes = self._shapes
        if shapes.origins and self._hides():
            return 0
        if not self._content:
            return _FAR
        if self._every or shapes.copies == "binary" or shapes.unknown_binary or self._look():
            return 0
        places, at = self._places, self._at
        while at < len(places) and places[at][1] <= position:
            at += 1
        self._at = at
        return places[at][0] if at < len(places) else _FAR

    def _look(self) -> bool:
        """Whether a column of the rows that come now must be read value by value."""
        columns = self._shapes.current
        if columns is None:
            return False
        if columns is not self._columns:
            self._columns = columns
            self._looks = any(map(decodes, columns))
        return self._looks

    def _hides(self) -> bool:
        """Whether the rows that come now have columns that must not be seen, or are not those that were traced."""
        outcome, plan = self._shapes.outcome, self._shapes.plan
        if outcome is None or outcome.hides or plan is None or self._shapes.width != outcome.width:
            return True
        if plan is not self._checked:
            if not self._holds(plan):
                return True
            self._checked = plan
        return False

    def _vouched(self) -> Outcome:
        """Give what is to be done with the rows that come now. Raises `MaskFailed` where nobody knows."""
        outcome, plan = self._shapes.outcome, self._shapes.plan
        if outcome is None or plan is None:
            raise MaskFailed("a result that was not foreseen")
        if plan is not self._checked:
            if not self._holds(plan):
                raise MaskFailed("what this was read with has changed meanwhile: ask again")
            self._checked = plan
        return outcome

    def report(self, data: bytes, start: int, end: int) -> bytes | None:
        """Give what goes on in the place of an error or notice where columns are masked; None where it stays."""
        body = data[start + 5 : end]
        new = withheld(body, self._shapes.guarded)
        return None if new == body else message(data[start : start + 1], new)

    def touched(self, start: int, end: int) -> bool:
        """Whether a message must be taken apart."""
        shapes = self._shapes
        if shapes.origins and self._hides():
            return True
        if not self._content:
            return False
        if self._every or shapes.copies == "binary" or shapes.unknown_binary or self._look():
            return True
        places, at = self._places, self._at
        while at < len(places) and places[at][1] <= start:
            at += 1
        self._at = at
        return at < len(places) and places[at][0] < end

    def masked(self, kind: int, data: bytes, start: int, end: int, found: Found) -> bytes | None:
        """Give what goes on in the place of a message, header and all, or None where it stays as it is.

        Raises:
            MaskFailed: nobody vouches for it.
            RemoteProtocolError: it is not what the protocol says.
        """
        body = data[start + 5 : end]
        if kind == _ROW:
            new = self._row(body, start + 5, found)
        elif kind == _COPIED:
            new = self._copied(body, found)
        elif kind in (_ERROR, _NOTICE):
            new = self._report(body, "error" if kind == _ERROR else "notice", found)
        elif kind == _NOTIFY:
            words = b"\0".join(
                masked_text(self._masking, each, "notification", found) for each in body[4:].split(b"\0")
            )
            new = body[:4] + words
        elif kind == _STATUS:
            name, nul, value = body.partition(b"\0")
            new = name + nul + masked_text(self._masking, value.rstrip(b"\0"), "parameter", found) + b"\0"
        elif kind == _COLUMNS:
            new = self._names(body, found)
        else:
            new = body[:4] + masked_text(self._masking, body[4:], "function", found)
            new = (len(new) - 4).to_bytes(4) + new[4:] if body[:4] != b"\xff\xff\xff\xff" else body
        return None if new == body else message(data[start : start + 1], new)

    def _copied(self, body: bytes, found: Found) -> bytes:
        shapes = self._shapes
        binary = shapes.copies == "binary"
        if shapes.origins and self._hides():
            if self._copying != shapes.copy:
                self._copy, self._copying = CopyMask(self._vouched(), binary), shapes.copy
            assert self._copy is not None
            body = self._copy.masked(body, found)
        if not self._content:
            return body
        return self._binary.masked(body, found) if binary else masked_copy(self._masking, body, found)

    def _row(self, body: bytes, offset: int, found: Found) -> bytes:
        """Take a DataRow apart (55.7). `offset` is where its body stands in the read."""
        columns = self._shapes.current
        if len(body) < 2:
            raise RemoteProtocolError("invalid DataRow from the target", hint="08P01")
        count = int.from_bytes(body[:2])
        if columns is not None and len(columns) != count:
            raise RemoteProtocolError("a DataRow of another shape than was described", hint="08P01")
        hidden = self._vouched().of(count) if self._shapes.origins else None
        if columns is None and self._shapes.unknown_binary and self._content:
            raise MaskFailed("rows that nobody has described cannot be masked: send Describe")
        parts: list[bytes] = [body[:2]]
        position, end, every = 2, len(body), self._every
        changed = False
        for n in range(count):
            if position + 4 > end:
                raise RemoteProtocolError("invalid DataRow from the target", hint="08P01")
            (length,) = _LENGTH.unpack_from(body, position)
            stop = position + 4 + max(length, 0)
            if length < -1 or stop > end:
                raise RemoteProtocolError("invalid DataRow from the target", hint="08P01")
            column = columns[n] if columns is not None else _UNKNOWN
            hides = hidden[n] if hidden is not None else None
            if hides is not None and length >= 0:
                described = column if columns is not None else None
                value = body[position + 4 : stop]
                new = (derived if hides.derived else masked_wholly)(hides.replacer, value, described)
                found.note(hides.rule, column.name, value)
                changed = True
                parts.append(b"\xff\xff\xff\xff" if new is None else len(new).to_bytes(4) + new)
                position = stop
                continue
            look = self._content and length > 0
            if look and (every or decodes(column) or self._hit(offset + position, offset + stop)):
                value = body[position + 4 : stop]
                new = masked_value(self._masking, value, column, found)
                if new is not value:
                    changed = True
                    parts.append(b"\xff\xff\xff\xff" if new is None else len(new).to_bytes(4) + new)
                    position = stop
                    continue
            parts.append(body[position:stop])
            position = stop
        if position != end:
            raise RemoteProtocolError("invalid DataRow from the target", hint="08P01")
        return b"".join(parts) if changed else body

    def _hit(self, start: int, end: int) -> bool:
        """Whether a part of the message that was asked about last touches a place."""
        places = self._places
        for at in range(self._at, len(places)):
            begin, stop = places[at]
            if begin >= end:
                return False
            if stop > start:
                return True
        return False

    def _report(self, body: bytes, place: str, found: Found) -> bytes:
        fields = [
            each
            if not each or each[0] in _FIXED
            else each[:1] + masked_text(self._masking, each[1:], place, found)
            for each in body.split(b"\0")
        ]
        return b"\0".join(fields)

    def _names(self, body: bytes, found: Found) -> bytes:
        """Mask the names of columns: SQL can make them of values."""
        parts = [body[:2]]
        position = 2
        while position < len(body):
            stop = body.find(0, position)
            after = stop + 1 + _COLUMN_REST
            if stop < 0 or after > len(body):
                raise RemoteProtocolError("invalid RowDescription from the target", hint="08P01")
            parts += masked_text(self._masking, body[position:stop], "column name", found), body[stop:after]
            position = after
        return b"".join(parts)
