"""Put statements that differ in literals only into one row: a benchmark makes ten thousand of them a second.

A pack holds the entries of one batch that have the same kind, terms and *shape*: the text with its numbers
and quoted strings taken out. Every text can be put together again exactly, so nothing is lost to search.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from recgate.transcript.entries import Entry

__all__ = ["MAX_TEXT", "Member", "Pack", "pack_entries", "storable", "unpack"]

MAX_TEXT: Final = 1 << 20  # characters of one entry that are indexed
MAX_SHAPED: Final = 2_000  # characters; longer texts are rarely repeated, and splitting them costs
MAX_MEMBERS: Final = 10_000  # entries of one pack: what a hit in it has to look through
MAX_TERMS: Final = 256  # of one entry
MAX_TERM: Final = 1_000  # characters of one term

# A number next to anything beyond ASCII stays where it is: FTS5 might see both as one token.
_WORDLIKE: Final = "[A-Za-z0-9_\x80-\U0010ffff]"
_LITERAL: Final = re.compile(rf"('[^']*'|(?<!{_WORDLIKE})[0-9]+(?:\.[0-9]+)?(?!{_WORDLIKE}))")

Key = tuple[int, str, int]


class Member(NamedTuple):
    """One entry of a pack: its number, part, time (µs since the session opened) and literals."""

    n: int
    part: int
    t: int
    literals: tuple[str, ...]


@dataclass(slots=True)
class Pack:
    """Entries of one kind, shape and terms. `shape` has one piece more than a member has literals."""

    kind: str
    shape: tuple[str, ...]
    terms: tuple[tuple[str, str], ...]
    members: list[Member] = field(default_factory=list[Member])

    def text(self, member: Member) -> str:
        """Put a member's text together as it was."""
        pieces = [self.shape[0]]
        for literal, piece in zip(member.literals, self.shape[1:], strict=True):
            pieces += (literal, piece)
        return "".join(pieces)

    @property
    def head(self) -> str:
        """The text of the first member."""
        return self.text(self.members[0])

    @property
    def tail(self) -> str:
        """The literals of the others, each once."""
        others = dict.fromkeys(literal for member in self.members[1:] for literal in member.literals)
        return " ".join(others)

    @property
    def first(self) -> int:
        """The lowest entry number."""
        return min(member.n for member in self.members)

    @property
    def last(self) -> int:
        """The highest entry number."""
        return max(member.n for member in self.members)

    def dump(self) -> bytes:
        """Serialise shape and members."""
        return zlib.compress(json.dumps([self.shape, self.members], separators=(",", ":")).encode(), 1)


def unpack(kind: str, terms: Iterable[tuple[str, str]], data: bytes) -> Pack:
    """Restore what `Pack.dump` gave."""
    shape, members = cast(
        "tuple[list[str], list[tuple[int, int, int, list[str]]]]", json.loads(zlib.decompress(data))
    )
    restored = [Member(n, part, t, tuple(literals)) for n, part, t, literals in members]
    return Pack(kind, tuple(shape), tuple(terms), restored)


def pack_entries(entries: Sequence[Entry]) -> Iterator[Pack]:
    """Sort a batch into packs. An entry number, kind and part that comes twice counts once: the later."""
    unique: dict[Key, Entry] = {(entry.n, entry.kind, entry.part): entry for entry in entries}
    packs: dict[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]], Pack] = {}
    for entry in unique.values():
        pieces = _split(storable(entry.text[:MAX_TEXT]))
        key = (entry.kind, tuple(pieces[0::2]), entry.terms)
        pack = packs.get(key)
        if pack is None or len(pack.members) >= MAX_MEMBERS:
            if pack is not None:
                yield pack
            pack = packs[key] = Pack(entry.kind, key[1], _clean(entry.terms))
        pack.members.append(Member(entry.n, entry.part, entry.t, tuple(pieces[1::2])))
    yield from packs.values()


def _split(text: str) -> list[str]:
    return _LITERAL.split(text) if len(text) <= MAX_SHAPED else [text]


def _clean(terms: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, storable(value[:MAX_TERM])) for name, value in terms[:MAX_TERMS])


def storable(text: str) -> str:
    """Replace what SQLite does not store: half of a surrogate pair, from a wire or a keyboard."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()
