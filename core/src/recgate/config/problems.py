"""Everything that is wrong with a configuration, in one run: each with file, line, key and remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from recgate.errors import ConfigurationError

__all__ = ["KeyPath", "Problems", "render_path", "suggestion"]

KeyPath = tuple[str | int, ...]

MAX_PROBLEMS: Final = 100  # nobody reads on after this many, and a hostile file could make millions
MAX_LISTED: Final = 20  # known keys named in one remedy


def render_path(path: Sequence[str | int]) -> str:
    """Write a key path as people do: `targets[0].options.tls`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            # A key is whatever the file says: control characters must not reach a terminal.
            text += ("." if text else "") + "".join(c if c.isprintable() else "?" for c in part[:80])
    return text or "(the file)"


def suggestion(word: str, known: Iterable[str], *, noun: str = "Known here") -> str:
    """Say which known word was probably meant, or else which there are."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"Did you mean `{close[0]}`?"
    if not names:
        return "Remove it."
    more = ", …" if len(names) > MAX_LISTED else ""
    return f"{noun}: {', '.join(names[:MAX_LISTED])}{more}."


@dataclass
class Problems:
    """Collects problems of one file; `lines` says where each key path stands (1-based)."""

    source: str
    lines: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])
    found: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    _sections: set[str | int] = field(default_factory=set[str | int])

    def line_of(self, path: KeyPath) -> int:
        """Give the line of a key, or of the nearest key around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: KeyPath, wrong: str, remedy: str = "", *, line: int | None = None) -> None:
        """Note one problem at a key. `wrong` and `remedy` are sentences; a missing full stop is added."""
        self._sections.update(path[:1])
        at = self.line_of(path) if line is None else line
        parts = [part if part.endswith((".", "?", "!")) else part + "." for part in (wrong, remedy) if part]
        self.found.append((at, f"{self.source}:{at}: {render_path(path)}: {' '.join(parts)}"))

    def within(self, section: str) -> bool:
        """Whether something in a section is wrong, so that what is missed of it elsewhere may be no fault there."""
        return section in self._sections

    def finish(self) -> None:
        """Raise `ConfigurationError` with every problem in the order of lines, if there is any."""
        if not self.found:
            return
        ordered = list(dict.fromkeys(text for _, text in sorted(self.found, key=lambda item: item[0])))
        if len(ordered) > MAX_PROBLEMS:
            rest = len(ordered) - MAX_PROBLEMS
            ordered = [*ordered[:MAX_PROBLEMS], f"{self.source}: and {rest} more."]
        raise ConfigurationError(ordered)
