"""A terminal's current line: enough of a screen to say which command was on it when Enter was pressed.

Not an emulator: it follows one logical line (wrapped or not) through what shells and line editors do to it:
printing, backspace, carriage return, cursor movement, erase, insert and delete (ECMA-48 §8.3). What a shell
completes, recalls or corrects is in the line that it draws, which is why the line is read and not the keys.
Full-screen programs draw elsewhere; while the alternate screen is on, there is no command line. Pure code.
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["MAX_LINE", "Line", "plain_text"]

MAX_LINE: Final = 4096  # characters of one logical line, which is as much as a terminal in cooked mode takes
MAX_ESCAPE: Final = 256  # characters of a control sequence; what is longer is no sequence

# CSI, OSC and other string sequences, charset selections, two-character escapes.
_SEQUENCE: Final = re.compile(
    r"\x1b(?:"
    r"\[(?P<args>[0-9;:<=>?!\"'$ ]*)(?P<final>[@-~])"
    r"|[\]PX^_](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\)"
    r"|[ -/]+[0-~]"
    r"|[0-OQ-WYZ\\`-~])"
)
_IDLE_RETURNS: Final = re.compile(r"\r+(?=\n)|(?<=\n)\r+")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ALTERNATE: Final = {"?47", "?1047", "?1049"}


def plain_text(text: str, *, fresh: bool = False) -> str:
    """Take the control sequences out of output, for search: what remains is what stood there to read.

    A carriage return begins a new line where it goes back over something. At the begin of a line (of the first one
    with `fresh`: nothing stands there yet) it goes nowhere; bash writes one whenever a command was entered.
    """
    text = _IDLE_RETURNS.sub("", _SEQUENCE.sub("", text))
    if fresh:
        text = text.lstrip("\r")
    return _CONTROLS.sub("", text.replace("\r", "\n"))


class Line:
    """The logical line the cursor is on. `cols` is the width at which it wraps; 0 if unknown."""

    __slots__ = ("_cells", "_cursor", "_pending", "alternate", "cols")

    def __init__(self, cols: int = 0) -> None:
        self.cols = cols
        self.alternate = False
        self._cells: list[str] = []
        self._cursor = 0
        self._pending = ""  # the begin of a sequence that the next output completes

    @property
    def column(self) -> int:
        """Where the cursor stands in the line."""
        return self._cursor

    @property
    def text(self) -> str:
        """What the line shows."""
        return "".join(self._cells)

    def write(self, text: str) -> None:
        """Draw output up to its end; a newline begins a new line."""
        text, self._pending = self._pending + text, ""
        position, end = 0, len(text)
        while position < end:
            char = text[position]
            if char == "\x1b":
                match = _SEQUENCE.match(text, position)
                if match is None:
                    if end - position < MAX_ESCAPE:
                        self._pending = text[position:]
                        return
                    position += 1
                    continue
                self._sequence(match)
                position = match.end()
                continue
            position += 1
            self._char(char)

    def _char(self, char: str) -> None:
        if char == "\n":
            self._cells.clear()
            self._cursor = 0
        elif char == "\r":
            self._cursor -= self._cursor % self.cols if self.cols else self._cursor
        elif char == "\b":
            self._cursor = max(0, self._cursor - 1)
        elif char == "\t":
            self._put(" " * (8 - self._cursor % 8))
        elif char >= " " and char != "\x7f":
            self._put(char)

    def _put(self, text: str) -> None:
        for char in text:
            if self._cursor >= MAX_LINE:
                return
            while len(self._cells) < self._cursor:
                self._cells.append(" ")
            if self._cursor < len(self._cells):
                self._cells[self._cursor] = char
            else:
                self._cells.append(char)
            self._cursor += 1

    def _sequence(self, match: re.Match[str]) -> None:
        final, args = match["final"], match["args"]
        if final is None:
            return
        if final in "hl" and args in _ALTERNATE:
            self.alternate = final == "h"
            return
        first = args.split(";")[0] if args else ""
        count = min(int(first), MAX_LINE) if first.isdigit() else 0
        times = count or 1
        if final == "C":
            self._cursor = min(MAX_LINE, self._cursor + times)
        elif final == "D":
            self._cursor = max(0, self._cursor - times)
        elif final == "A" and self.cols:
            self._cursor = max(self._cursor % self.cols, self._cursor - times * self.cols)
        elif final == "B" and self.cols:
            self._cursor = min(MAX_LINE, self._cursor + times * self.cols)
        elif final == "G":
            row = self._cursor - self._cursor % self.cols if self.cols else 0
            self._cursor = min(MAX_LINE, row + times - 1)
        elif final == "P":
            del self._cells[self._cursor : self._cursor + times]
        elif final == "@":
            self._cells[self._cursor : self._cursor] = [" "] * times
            del self._cells[MAX_LINE:]
        elif final == "K":
            self._erase_line(count)
        elif final in "HJ":
            # The screen is drawn anew: whatever line this was, it is another now.
            if final == "H" or count:
                self._cells.clear()
                self._cursor = 0
            else:
                del self._cells[self._cursor :]

    def _erase_line(self, how: int) -> None:
        if how == 0:
            del self._cells[self._cursor :]
        elif how == 1:
            self._cells[: self._cursor] = [" "] * min(self._cursor, len(self._cells))
        else:
            self._cells.clear()

    def save(self) -> list[Any]:
        """Give the state as CBOR-able values."""
        return [self.cols, self.alternate, self.text, self._cursor, self._pending]

    @classmethod
    def restore(cls, state: list[Any]) -> Line:
        """Make a line from what `save` gave."""
        line = cls(state[0])
        line.alternate, line._cells, line._cursor, line._pending = (
            state[1],
            list(state[2]),
            state[3],
            state[4],
        )
        return line
