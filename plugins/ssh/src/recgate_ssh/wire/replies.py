"""Answers go out in the order of the requests (RFC 4254 §4, §5.4), whoever gives them and whenever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["MAX_OWED", "Replies", "Slot"]

MAX_OWED: Final = 128  # requests waiting for their answer; more than any client pipelines


class Slot:
    """The place of one answer in the order."""

    __slots__ = ("answer", "given")

    def __init__(self) -> None:
        self.given = False
        self.answer: tuple[bool, bytes] = (False, b"")


class Replies:
    """The answers owed to one peer. `send(ok, data)` is called for each when its turn has come."""

    __slots__ = ("_owed", "_send")

    def __init__(self, send: Callable[[bool, bytes], None]) -> None:
        self._owed: list[Slot] = []  # a deque would cost an idle session a kilobyte
        self._send = send

    def __len__(self) -> int:
        return len(self._owed)

    def owe(self) -> Slot:
        """Note that a request wants an answer."""
        slot = Slot()
        self._owed.append(slot)
        return slot

    def give(self, slot: Slot | None, ok: bool, data: bytes = b"") -> None:
        """Answer; nothing happens for None, a request that wanted no answer."""
        if slot is None or slot.given:
            return
        slot.given, slot.answer = True, (ok, data)
        while self._owed and self._owed[0].given:
            self._send(*self._owed.pop(0).answer)
