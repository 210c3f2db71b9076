"""`credential: NAME:PATH?key=value` taken apart. What is not exactly a path is refused: it goes into a URL.

A path may come from a template, so nothing in it may climb (`..`), be decoded twice (`%`), or begin something else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from recgate.errors import VaultFailed

__all__ = ["VaultPath", "quoted"]

MAX_PATH: Final = 1_000  # characters
# Of a segment: what names of entries and roles are made of. No control, %, ?, #, backslash; not only dots.
_SEGMENT: Final = re.compile(r"(?!\.{1,2}\Z)[^\x00-\x1f\x7f-\x9f/\\%?#]+\Z")
_KEY: Final = re.compile(r"[a-z_]{1,40}\Z")


@dataclass(frozen=True, slots=True)
class VaultPath:
    """What a target asks of a vault: a path below a mount, and how."""

    path: str
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def parse(cls, text: str, vault: str) -> VaultPath:
        """Take a path apart. Raises `VaultFailed`."""
        path, mark, query = text.partition("?")
        options: dict[str, str] = {}
        for pair in query.split("&") if mark else []:
            key, equals, value = pair.partition("=")
            if not equals or not _KEY.match(key) or key in options or not value or not value.isprintable():
                raise VaultFailed(
                    f"vault {vault}: {text!a}: what follows the question mark should be KEY=VALUE, joined by &, "
                    "each once. Correct the target's `credential:`."
                )
            options[key] = value
        segments = path.split("/")
        if len(text) > MAX_PATH or len(segments) < 2 or not all(map(_SEGMENT.match, segments)):
            raise VaultFailed(
                f"vault {vault}: {text[:MAX_PATH]!a} is no path to a secret, such as secret/prod-db or "
                "database/creds/app. Correct the target's `credential:`."
            )
        return cls(path, options)

    def below(self, mount: str) -> str:
        """Give the part behind a mount that ends in a slash."""
        return self.path[len(mount) :]

    def allow(self, vault: str, *known: str) -> None:
        """Refuse an option that this engine does not have: it may be the one that was to narrow something."""
        for key in self.options:
            if key not in known:
                raise VaultFailed(
                    f"vault {vault}: {self.path} has no option {key!a}; there are {', '.join(known) or 'none'}. "
                    "Correct the target's `credential:`."
                )


def quoted(path: str) -> str:
    """Put a path into a URL: each segment as it is."""
    return "/".join(quote(segment, safe="") for segment in path.split("/"))
