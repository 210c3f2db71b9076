"""Values that masks removed, on their way into the recording: they are sealed there to people of their own, or dropped.

What is kept of one read is bounded, since it stands in memory and in the journal beside what was sent: beyond that a
number says how many are gone.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_KEPT", "MAX_ORIGINAL", "Kept"]

MAX_ORIGINAL: Final = 64 << 10  # bytes of one value; a longer one is a document, and not kept
MAX_KEPT: Final = 1 << 20  # bytes of all values that one mask frame accounts for


class Kept:
    """The originals of one mask frame, in the order in which they stood."""

    __slots__ = ("_room", "unkept", "values")

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.unkept = 0  # how many were above a limit
        self._room = MAX_KEPT

    def __repr__(self) -> str:
        return f"Kept({len(self.values)} values)"

    def add(self, value: bytes) -> None:
        """Keep a value, or count it as not kept."""
        if len(value) > min(MAX_ORIGINAL, self._room):
            self.unkept += 1
            return
        self._room -= len(value)
        self.values.append(bytes(value))

    def facts(self) -> dict[str, object]:
        """Give what the mask frame says of them in clear: how many are missing, if any."""
        return {"unkept": self.unkept} if self.unkept else {}
