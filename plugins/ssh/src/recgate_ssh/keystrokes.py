"""What was typed into a terminal, line by line, and whether the terminal showed it.

A password is typed where nothing is echoed. Whether a key was echoed is seen only in the output that follows, so
keys wait until their line is decided: a line whose characters did not come back is withheld. The recording keeps
the bytes; only what is shown and indexed is withheld. Pure code.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from recgate_ssh.terminal import Line, plain_text

__all__ = ["HIDDEN", "Decided", "Key", "Keys"]

HIDDEN: Final = "•••"
MAX_LINES: Final = 64  # typed lines that wait for their output
MAX_KEYS: Final = 256  # reads of input that wait
MAX_TYPED: Final = 4096  # characters of a line that are compared with its echo
MAX_KEY_TEXT: Final = 8192  # characters of one read of input that are kept for showing
MAX_STRANGE: Final = 64  # lines of output after Enter that may pass before the echo must have come

_LINES: Final = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")

_STARS: Final = re.compile(r"[*•]+")  # what some programs show instead of a password

Key = tuple[int, int, str]  # frame number, time, text
Decided = tuple[list[Key], bool, str]  # keys, whether they were echoed, and the command that their line shows


@dataclass(slots=True)
class _Typed:
    """One line as typed."""

    start: int  # the column where the prompt ends
    keys: list[Key] = field(default_factory=list[Key])
    text: str = ""  # the printable part, which an echo would repeat
    matched: int = 0  # how many of its characters came back
    entered: bool = False
    strange: int = 0  # lines of output since Enter that were not its echo
    output: bool = False  # something was shown on the current line since Enter

    @property
    def plain(self) -> bool:
        """Whether nothing but text and Enter was typed, all of which is kept."""
        parts = [text for _, _, text in self.keys]
        return all(len(text) < MAX_KEY_TEXT and text.rstrip("\r\n").isprintable() for text in parts)


class Keys:
    """The keys of one terminal. `typed` and `shown` are fed in the order of the frames."""

    __slots__ = ("_count", "_lines", "line")

    def __init__(self, cols: int = 0) -> None:
        self.line = Line(cols)
        self._lines: deque[_Typed] = deque()
        self._count = 0

    def typed(self, n: int, t: int, text: str) -> list[Decided]:
        """Take a read of input; gives what can wait no longer."""
        done: list[Decided] = []
        for part in _LINES.findall(text):
            if not self._lines or self._lines[-1].entered:
                self._lines.append(_Typed(self.line.column))
            line = self._lines[-1]
            line.keys.append((n, t, part[:MAX_KEY_TEXT]))
            line.text = (line.text + plain_text(part).replace("\n", ""))[:MAX_TYPED]
            line.entered = part[-1] in "\r\n"
            self._count += 1
            while len(self._lines) > MAX_LINES or self._count > MAX_KEYS:
                done.append(self._decide(self.line.text))
        return done

    def shown(self, text: str) -> list[Decided]:
        """Take output; gives the lines that it decides."""
        done: list[Decided] = []
        while self._lines and self._lines[0].entered:
            echo, newline, text = text.partition("\n")
            line = self._lines[0]
            if not line.strange:
                self._match(line, echo)
            line.output = line.output or bool(plain_text(echo).strip())
            self.line.write(echo.removesuffix("\r") if newline else echo)
            if not newline:
                return done
            seen = self.line.text
            if line.text.strip() and line.text.strip() in seen:
                line.matched = len(line.text)
            other = line.output and _STARS.fullmatch(seen[line.start :].strip()) is None
            if line.matched * 2 < len(line.text) and (other or line.strange) and line.strange < MAX_STRANGE:
                # Other output, that was under way when Enter was pressed. From here on only the whole line counts:
                # letters in their order can be found in any text.
                line.strange += 1
                line.matched, line.output = 0, False
            else:
                done.append(self._decide(seen))
            self.line.write("\n")
            if self._lines:
                self._lines[0].start = 0
        if text:
            if self._lines:
                self._match(self._lines[0], text)
            self.line.write(text)
        return done

    @staticmethod
    def _match(line: _Typed, output: str) -> None:
        typed, matched = line.text, line.matched
        if matched == len(typed):
            return
        for char in plain_text(output):
            if char == typed[matched]:
                matched += 1
                if matched == len(typed):
                    break
        line.matched = matched

    def _decide(self, seen: str) -> Decided:
        line = self._lines.popleft()
        self._count -= len(line.keys)
        echoed = line.matched * 2 >= len(line.text)
        command = ""
        if line.entered and echoed and not self.line.alternate:
            command = seen[line.start :].strip()
            typed = line.text.strip()
            if typed and (command.endswith(typed) or (line.plain and typed in command)):
                # Nothing was completed or recalled, so what is before it is the prompt, and what is behind it was
                # shown by something else: a login's first words, where somebody typed ahead of them.
                command = typed
        return line.keys, echoed, command

    def cleared(self) -> list[Decided]:
        """The line that is being typed was cleared without being entered."""
        if len(self._lines) != 1 or self._lines[0].entered:
            return []
        return [self._decide("")]

    def finish(self) -> list[Decided]:
        """Decide on what is left."""
        return [self._decide(self.line.text) for _ in range(len(self._lines))]

    def save(self) -> list[Any]:
        """Give the state as CBOR-able values."""
        lines = [
            [
                each.start,
                [list(key) for key in each.keys],
                each.text,
                each.matched,
                each.entered,
                each.strange,
                each.output,
            ]
            for each in self._lines
        ]
        return [self.line.save(), lines]

    @classmethod
    def restore(cls, state: list[Any]) -> Keys:
        """Make keys from what `save` gave."""
        keys = cls()
        keys.line = Line.restore(state[0])
        for start, held, *rest in state[1]:
            each = [(n, t, key) for n, t, key in held]
            keys._lines.append(_Typed(start, each, *rest))
            keys._count += len(each)
        return keys
