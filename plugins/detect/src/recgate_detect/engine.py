"""RE2, whose time is linear in what it reads, with types: the distribution has none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol, cast

import re2  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["MAX_MEMORY", "BadPattern", "Found", "Pattern", "PatternSet", "compiled", "escape", "pattern_set"]

MAX_MEMORY: Final = 32 << 20  # bytes that one program and its automaton may take

_re2 = cast("Any", re2)


class BadPattern(ValueError):
    """RE2 does not take this pattern; says why."""


class Found(Protocol):
    """One match."""

    def span(self, group: int = 0) -> tuple[int, int]:
        """Give where it, or a group of it, stands; (-1, -1) for a group that took no part."""
        ...


class Pattern(Protocol):
    """A compiled pattern over bytes."""

    groups: int

    def search(self, text: bytes, pos: int = 0) -> Found | None:
        """Find the first match from `pos` on."""
        ...

    def finditer(self, text: bytes) -> Iterator[Found]:
        """Find all that do not overlap."""
        ...


class PatternSet(Protocol):
    """Several patterns in one automaton."""

    def Match(self, text: bytes) -> Sequence[int] | None:  # noqa: N802 - RE2's own name
        """Give the numbers of those that match somewhere, or None."""
        ...


def _options(*, latin1: bool = False) -> Any:  # noqa: ANN401 - the distribution has no types
    options = _re2.Options()
    if latin1:
        options.encoding = _re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    return options


def compiled(pattern: str, *, latin1: bool = False) -> Pattern:
    """Compile one pattern; with `latin1` a character is any one byte. Raises `BadPattern`."""
    try:
        return cast("Pattern", _re2.compile(pattern.encode() if latin1 else pattern, _options(latin1=latin1)))
    except _re2.error as exc:
        said = exc.args[0] if exc.args else ""
        raise BadPattern(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)) from None


def pattern_set(patterns: Sequence[str]) -> PatternSet:
    """Compile several for one pass. Raises `BadPattern`."""
    made = _re2.Set.SearchSet(_options())
    try:
        for pattern in patterns:
            made.Add(pattern)
        made.Compile()
    except _re2.error as exc:
        raise BadPattern("together these patterns are too large") from exc
    return cast("PatternSet", made)


def escape(text: str) -> str:
    """Give the pattern that finds `text` itself."""
    return cast("str", _re2.escape(text))
