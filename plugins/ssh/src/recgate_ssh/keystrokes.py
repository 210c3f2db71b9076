"""What was typed into a terminal, key by key, and whether the terminal showed it.

A password is typed where nothing is echoed. Whether a key was echoed is seen only in the output that follows, so
keys wait until their line is decided: a line whose characters did not come back is withheld. The recording keeps
the bytes; only what is shown and indexed is withheld. Pure code.
"""

from __future__ import annotations

from typing import Any, Final

from recgate_ssh.terminal import Line, plain_text

__all__ = ["HIDDEN", "Decided", "Keys"]

HIDDEN: Final = "•••"
MAX_KEYS: Final = 256  # reads of input that wait for their line
MAX_TYPED: Final = 4096  # characters of a line that are compared with its echo
MAX_KEY_TEXT: Final = 8192  # characters of one read of input that are kept for showing

Key = tuple[int, int, str]  # frame number, time, text
Decided = tuple[list[Key], bool, str]  # keys, whether they were echoed, and the command that their line shows


class Keys:
    """The keys of one terminal. `typed` and `shown` are fed in the order of the frames."""

    __slots__ = ("_entered", "_keys", "_matched", "_start", "_typed", "line")

    def __init__(self, cols: int = 0) -> None:
        self.line = Line(cols)
        self._keys: list[Key] = []
        self._typed = ""  # the printable part of the keys, which an echo would repeat
        self._matched = 0  # how many of those characters came back
        self._start = 0  # the column where the prompt ends
        self._entered = False  # Enter was pressed, and its echo is still to come

    def typed(self, n: int, t: int, text: str) -> list[Decided]:
        """Take a read of input; gives what is decided by it."""
        done: list[Decided] = []
        if self._entered or len(self._keys) >= MAX_KEYS:
            # Typed ahead: no output came in between that could tell, so what is there must do.
            done.append(self._decide(self.line.text))
        if not self._keys:
            self._start = self.line.column
        self._keys.append((n, t, text[:MAX_KEY_TEXT]))
        printable = plain_text(text).replace("\n", "")
        self._typed = (self._typed + printable)[:MAX_TYPED]
        self._entered = "\r" in text or "\n" in text
        return done

    def shown(self, text: str) -> list[Decided]:
        """Take output; gives the line that it decides, if Enter had been pressed."""
        done: list[Decided] = []
        if self._keys and self._entered:
            echo, newline, rest = text.partition("\n")
            self._match(echo)
            self.line.write(echo.rstrip("\r") if newline else echo)
            if newline:
                done.append(self._decide(self.line.text))
                self.line.write("\n" + rest)
        else:
            if self._keys:
                self._match(text)
            self.line.write(text)
        return done

    def _match(self, text: str) -> None:
        typed, matched = self._typed, self._matched
        if matched < len(typed):
            for char in plain_text(text):
                if char == typed[matched]:
                    matched += 1
                    if matched == len(typed):
                        break
            self._matched = matched

    def _decide(self, line: str) -> Decided:
        keys, self._keys = self._keys, []
        echoed = not self._typed or self._matched * 2 >= len(self._typed)
        command = ""
        if self._entered and echoed and not self.line.alternate:
            command = line[self._start :].strip()
        self._typed, self._matched, self._entered = "", 0, False
        return keys, echoed, command

    def finish(self) -> list[Decided]:
        """Decide on what is left."""
        return [self._decide(self.line.text)] if self._keys else []

    def save(self) -> list[Any]:
        """Give the state as CBOR-able values."""
        keys = [list(key) for key in self._keys]
        return [self.line.save(), keys, self._typed, self._matched, self._start, self._entered]

    @classmethod
    def restore(cls, state: list[Any]) -> Keys:
        """Make keys from what `save` gave."""
        keys = cls()
        keys.line = Line.restore(state[0])
        keys._keys = [(n, t, text) for n, t, text in state[1]]
        keys._typed, keys._matched, keys._start, keys._entered = state[2:6]
        return keys
