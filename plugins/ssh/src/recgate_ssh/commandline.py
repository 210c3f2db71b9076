"""Which command is on a terminal's line, by what the line shows and what was typed, before Enter goes on.

The line is what counts: history, completion and correction are in what the shell draws. What was typed tells where the
prompt ends, and whether anything is shown at all: a password's line stays as it was, and is no command. Where the two
do not agree both are given out, and where neither is to be trusted the reading is uncertain. Pure code, no clock.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from recgate_ssh.commands import read
from recgate_ssh.terminal import MAX_LINE, Line

__all__ = ["MAX_BEFORE", "UNSEEN", "CommandLine", "Entered", "without_echo"]

UNSEEN: Final = "•••"  # stands for a line that may be a password as well as a command
MAX_BEFORE: Final = 64 * 1024  # characters of lines that belong together
MAX_TYPED: Final = 16 * 1024  # characters of one line as typed

_SEARCH: Final = re.compile(
    r"\((?:failed )?(?:reverse-|forward-)?i-search\)`.*?': ?(?P<line>.*)\Z", re.DOTALL
)
_KEYS: Final = re.compile(
    r"(?P<paste>\x1b\[200~)|(?P<pasted>\x1b\[201~)"
    r"|(?P<sequence>\x1b(?:\[[0-9;?]*[ -/]*[@-~]?|O.?|.?))|(?P<other>[\x00-\x1f\x7f])",
    re.DOTALL,
)
_ECHO, _LAST_MODE = 53, 160
_STARS: Final = re.compile(r"[*•]+")


@dataclass(frozen=True, slots=True)
class Entered:
    """What Enter would run. No `texts`: nothing that anybody can see, or nothing at all. `certain`: as it is shown."""

    texts: tuple[str, ...] = ()
    certain: bool = True


class CommandLine:
    """One terminal's line. `shown` and `typed` are fed as it happens, `entered` is asked at every Enter."""

    def __init__(self, cols: int = 0, *, blind: bool = False) -> None:
        """`blind`: the client asked for a terminal without echo, so that nothing can be told from what is not shown."""
        self.line = Line(cols)
        self.pasting = False  # between the brackets of a paste, whether the shell takes it for one or not
        self._blind = blind
        self._stale = False  # the line was given up, and is another with the next newline
        self._start: int | None = None  # the column where the prompt ends, once something was typed behind it
        self._prompt = ""
        self._known = ""  # where a command was last seen to be typed
        self._typed: list[str] = []
        self._edited = False  # more was done to the line than typing at its end
        self._before = ""  # what came before in lines that are one command
        self._begun = ""  # the prompt of the first of them

    # -- what happens ----------------------------------------------------------------------------------

    def shown(self, text: str) -> None:
        """Take output."""
        while text:
            part, newline, text = text.partition("\n")
            self.line.write(part)
            if newline:
                self.line.write("\n")
                self._start = None
                if self._stale and not self._typed:
                    self._edited = self._stale = False

    def typed(self, text: str) -> None:
        """Take keys, without Enter."""
        if self.line.alternate and not self._at_prompt():
            return  # a full-screen program's
        if self._start is None and not self._typed and not self._edited:
            self._start = self.line.column
            self._prompt = self.line.text[: self._start]
        position = 0
        for match in _KEYS.finditer(text):
            self._put(text[position : match.start()])
            position = match.end()
            if match["paste"]:
                self.pasting = True
            elif match["pasted"]:
                self.pasting = False
            elif match["sequence"]:
                self._edited = True
            else:
                self._control(match["other"])
        self._put(text[position:])

    def _put(self, text: str) -> None:
        self._typed += text
        if len(self._typed) > MAX_TYPED:
            del self._typed[MAX_TYPED:]
            self._edited = True

    def _control(self, char: str) -> None:
        if char in "\x7f\x08":
            if self._typed:
                self._typed.pop()
            else:
                self._edited = True
        elif char in "\x15\x03":
            self._typed.clear()
            if char == "\x03":
                self._stale = True
                self._before = ""
                self.pasting = False
        else:
            self._edited = True

    # -- what is there ---------------------------------------------------------------------------------

    @property
    def echoed(self) -> bool:
        """Whether all that was typed is shown: nothing more will come of it."""
        typed = "".join(self._typed)
        if self._edited:
            return False
        return self.line.text[: self.line.column].endswith(typed) if typed else True

    @property
    def idle(self) -> bool:
        """Whether nothing was typed and nothing was done since the last Enter."""
        return not self._typed and not self._edited

    def entered(self) -> Entered:
        """Say what Enter would run now."""
        if self.pasting:
            text = "".join(self._typed)
            return self._joined(text, certain=not self._edited) if text.strip() else Entered()
        if self.line.alternate and not self._at_prompt():
            return Entered()
        if self.idle:
            return Entered()  # whatever stands there, nobody has put it on the line
        shown, certain = self._shown()
        typed = "" if self._edited else "".join(self._typed).strip()
        if _STARS.fullmatch(shown) and not _STARS.fullmatch(typed):
            shown = ""
        if not shown:
            # Nothing that anybody can see: a password, unless it is where commands are typed.
            if typed and self._at_prompt():
                return self._joined(typed, certain=True)
            return Entered((UNSEEN,), certain=False) if self._blind else Entered()
        entered = self._joined(shown, certain=certain)
        if typed and typed not in shown:
            entered = Entered((*entered.texts, typed), entered.certain)
        return entered

    def _at_prompt(self) -> bool:
        return bool(self._known.strip()) and self.line.text.startswith(self._known)

    def _shown(self) -> tuple[str, bool]:
        """Give what the line shows behind its prompt, and whether it is certain that this is it."""
        text = self.line.text
        full = len(text) >= MAX_LINE
        if self._edited and (search := _SEARCH.match(text)) is not None:
            return search["line"].strip(), not full
        typed = "".join(self._typed)
        if not self._edited and typed and text[: self.line.column].endswith(typed):
            # As it was typed; what stands behind the cursor is a suggestion, or a prompt at the right.
            start = self.line.column - len(typed)
            if self._start in (None, start) or not text[self._start : start].strip():
                return typed.strip(), not full
        if self._start is not None and text[: self._start] == self._prompt:
            return text[self._start :].strip(), not full
        if self._at_prompt():
            return text[len(self._known) :].strip(), not full
        return text.strip(), not text.strip()

    def _joined(self, text: str, *, certain: bool) -> Entered:
        """Put together what belongs together; each line counts by itself as well."""
        if not self._before or (self._start is not None and self._prompt == self._begun and not self.pasting):
            return Entered((text,), certain)
        return Entered((f"{self._before}\n{text}", text), certain)

    # -- what becomes of it ----------------------------------------------------------------------------

    def passed(self, entered: Entered) -> None:
        """Enter has gone on."""
        text = entered.texts[0] if entered.texts else ""
        if self.pasting:
            # Nothing runs before the paste is over, and then all of it does.
            typed = "".join(self._typed)
            self._before = f"{self._before}\n{typed}"[-MAX_BEFORE:] if self._before else typed
        elif text and len(text) < MAX_BEFORE and not read(text).complete:
            self._before = text
            self._begun = self._begun or self._prompt
        else:
            self._before = self._begun = ""
        if entered.texts and not self.pasting and self._start is not None and self._prompt.strip():
            self._known = self._prompt
        self._typed.clear()
        self._edited = self._stale = False
        self._start = None

    def refused(self) -> None:
        """Enter has not gone on; the line stays what it is until it is shown to be another."""
        self._typed.clear()
        self._edited = self._stale = True
        self._before = self._begun = ""
        self.pasting = False


def without_echo(modes: object) -> bool:
    """Whether the terminal modes of a pty-req turn echo off (RFC 4254 §8): each is a byte and a uint32."""
    if not isinstance(modes, bytes):
        return False
    for at in range(0, len(modes) - 4, 5):
        if not 0 < modes[at] < _LAST_MODE:
            return False
        if modes[at] == _ECHO:
            return not any(modes[at + 1 : at + 5])
    return False
