"""What a statement does, for policies: its acts by its text, worked out once.

Nothing here ever raises: what cannot be read is one opaque act, and rules that speak of statements match it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from recgate.policy import Act
from recgate_postgres import changing, utility
from recgate_postgres.bodies import define_function
from recgate_postgres.builtin import LAST
from recgate_postgres.grammar import Json, syntax
from recgate_postgres.parts import Part
from recgate_postgres.reading import Reader

__all__ = [
    "MAX_ACTS",
    "OPAQUE",
    "UNREADABLE",
    "Reading",
    "Readings",
    "read",
    "read_function",
    "read_strictly",
]

MAX_ACTS: Final = 512  # different ones in one text; one of more is opaque
MAX_CACHED: Final = 4_096  # texts, in each of two generations
MAX_CACHED_TEXT: Final = 8_192  # characters
MAX_QUICK: Final = 4_096
MAX_QUICK_TEXT: Final = 1_024  # bytes
OPAQUE: Final = (Act(opaque=True),)

# Where nothing is quoted, a number that stands for itself changes nothing of what a statement does.
_QUOTES: Final = re.compile(rb"""['"\\$]""")
_DIGITS: Final = re.compile(rb"[0-9]+")
_JOINED: Final = frozenset(b"._" + bytes(each for each in range(256) if chr(each).isalnum() or each > 0x7F))

_STATEMENTS: Final = {**changing.STATEMENTS, **utility.STATEMENTS}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says it does.

    Attributes:
        acts: its acts, each once; at least one.
        runs: names of prepared statements and cursors that it runs, as `("statement" or "cursor", name)`.
        made: names that it gives a meaning, with that meaning.
        versions: the only server versions that it can be said of, where it uses what others do not have.
    """

    acts: tuple[Act, ...]
    runs: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, str, tuple[Act, ...]], ...] = ()
    versions: tuple[int, ...] = ()

    def holds_for(self, version: int) -> bool:
        """Whether names that this takes for built in are built in there. `version` is the major one, 0 if not known."""
        return all(version >= each if each == LAST else version == each for each in self.versions)


UNREADABLE: Final = Reading(OPAQUE)


def read(text: str) -> Reading:
    """Work out what a text does. Takes 0.1 to 0.5 ms for usual ones, and at most 0.4 s."""
    try:
        return read_strictly(text)
    except (RecursionError, LookupError, TypeError, ValueError, AttributeError):
        # A tree too deep to walk, or of a shape that nobody foresaw: doubt.
        return UNREADABLE


def read_strictly(text: str) -> Reading:
    """Do the same, and raise what a tree of an unforeseen shape raises."""
    reader, doubt = Reader(_STATEMENTS, utility.plain), Part("")
    reader.text(text, doubt)
    if doubt.opaque:
        return UNREADABLE
    acts = _once(reader.parts)
    if len(acts) > MAX_ACTS:
        return UNREADABLE
    return Reading(
        acts or (Act(),),
        tuple(dict.fromkeys(reader.runs)),
        tuple((sort, name, _once(parts)) for sort, name, parts in reader.made),
        tuple(sorted(reader.versions)),
    )


def read_function(definition: str) -> Reading:
    """Work out what a call of a function does besides its arguments, by its CREATE FUNCTION. Never raises."""
    try:
        return _function(definition)
    except (RecursionError, LookupError, TypeError, ValueError, AttributeError):
        return UNREADABLE  # as in `read`


def _function(definition: str) -> Reading:
    parsed = syntax(definition)
    if parsed is None or len(parsed) != 1:
        return UNREADABLE
    body: Json = parsed[0]["stmt"]["CreateFunctionStmt"]
    # A session may read the text of a body otherwise than it stands there; one in BEGIN ATOMIC is read already.
    if "sql_body" not in body and "\\" in definition:
        return UNREADABLE
    reader, defaults = Reader(_STATEMENTS, utility.plain), Part("")
    define_function(reader, body, defaults)
    # A name that is given a meaning here has it in the session, of which nothing is known.
    if defaults.opaque or reader.runs or reader.made:
        return UNREADABLE
    called = [defaults] if defaults.functions or defaults.hinges else []
    acts = _once([*reader.parts, *called])
    return UNREADABLE if len(acts) > MAX_ACTS else Reading(acts, versions=tuple(sorted(reader.versions)))


def _once(parts: list[Part]) -> tuple[Act, ...]:
    return tuple(dict.fromkeys(part.act() for part in parts))


class Readings:
    """Readings by text, bounded: two generations, of which the older is forgotten when the younger is full.

    `quick` holds the acts of texts that mean the same on every connection and give no name a meaning: what is asked on
    the hot path is one look-up. Texts that differ in numbers alone are one.
    """

    __slots__ = ("_numbered", "_old", "_young", "quick")

    def __init__(self) -> None:
        self._young: dict[str, Reading] = {}
        self._old: dict[str, Reading] = {}
        self.quick: dict[bytes, tuple[Act, ...]] = {}
        self._numbered: dict[bytes, tuple[Act, ...]] = {}  # by what is left of a text without its numbers

    def get(self, text: str) -> Reading:
        """Give what a text does; never raises."""
        found = self._young.get(text)
        if found is None:
            found = self._old.get(text) or read(text)
            if len(text) <= MAX_CACHED_TEXT:
                if len(self._young) >= MAX_CACHED:
                    self._old, self._young = self._young, {}
                self._young[text] = found
        return found

    def fixed(self, text: bytes) -> tuple[Act, ...] | None:
        """Give the acts of a text of ASCII without a backslash, if they hang on nothing but the text."""
        acts = self.quick.get(text)
        if acts is not None or len(text) > MAX_QUICK_TEXT:
            return acts
        key = text if _QUOTES.search(text) else _DIGITS.sub(_number, text)
        acts = self._numbered.get(key)
        if acts is None:
            reading = self.get(key.decode("ascii"))
            if reading.runs or reading.made or reading.versions:
                return None
            acts = reading.acts
            if len(self._numbered) >= MAX_QUICK:
                self._numbered.clear()
            self._numbered[key] = acts
        if len(self.quick) >= MAX_QUICK:
            self.quick.clear()
        self.quick[text] = acts
        return acts


def _number(found: re.Match[bytes]) -> bytes:
    text, start, end = found.string, found.start(), found.end()
    inside = (start and text[start - 1] in _JOINED) or (end < len(text) and text[end] in _JOINED)
    return found[0] if inside else b"0"
