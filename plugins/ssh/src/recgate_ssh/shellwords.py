"""The words and operators of a POSIX shell's command line (POSIX.1-2017, Shell Command Language §2.2, §2.3, §2.6).

Quotes are taken away, what they hide is not: the command lines inside `$(…)`, backquotes and process substitutions are
given out as well. Nothing is expanded; a word that depends on an expansion says so. Pure code, linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["MAX_TEXT", "Operator", "Substituted", "Unfinished", "Word", "words_of"]

MAX_TEXT: Final = 64 * 1024  # characters of a command line that are looked at

_PLAIN: Final = re.compile(r"[^\s\\'\"$`;&|()<>#*?\[{]+")
_NAME: Final = re.compile(r"\w+|[-!?#@*$]")
_REDIRECT: Final = re.compile(r"(?:&>>|&>|>>|>\||>&|<>|<&|<<<|>|<(?!<))")
_HEREDOC: Final = re.compile(r"<<(-?)[ \t]*")
_ANSI: Final = re.compile(
    r"\\(?:x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})|([0-7]{1,3})|c?(.))", re.DOTALL
)
_LETTERS: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "v": "\v",
}


class Unfinished(Exception):
    """The line ends inside a quote, a substitution or a here-document."""


class Operator(Enum):
    """What stands between words."""

    END = ";"
    PIPE = "|"
    REDIRECT = ">"


@dataclass(slots=True)
class Word:
    """A word without its quotes. `dynamic`: what it becomes is known to the target alone."""

    text: str
    quoted: bool = False
    dynamic: bool = False


@dataclass(slots=True)
class Substituted:
    """A command line inside of a word."""

    text: str


Token = Word | Operator | Substituted


def words_of(text: str) -> Iterator[Token]:
    """Give what the line holds, in order; substitutions come before the word they stand in. Raises `Unfinished`."""
    return _Lexer(text).tokens()


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at: int = 0
        self._documents: list[tuple[str, bool, bool]] = []  # here-documents to come: delimiter, tabs, literal
        self._parts: list[str] = []
        self._word: Word | None = None
        self._inside: list[Substituted] = []

    def tokens(self) -> Iterator[Token]:
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            if char in " \t\r":
                yield from self._ended()
                self._at += 1
            elif char == "#" and self._word is None:
                end = text.find("\n", self._at)
                self._at = len(text) if end < 0 else end
            elif char == "\n" or (char in ";&|()<>" and not self._grouping()):
                yield from self._operator(char)
            else:
                self._part(char)
        if self._documents:
            raise Unfinished
        yield from self._ended()

    def _ended(self) -> Iterator[Token]:
        yield from self._inside
        self._inside.clear()
        if self._word is not None:
            self._word.text = "".join(self._parts)
            yield self._word
            self._word = None
            self._parts.clear()

    def _grouping(self) -> bool:
        """Take `()` of a function's definition as a word of its own."""
        if self._word is not None and self._text.startswith("()", self._at):
            self._word.dynamic = True  # whatever is defined here, nobody knows later what its name stands for
            self._at += 2
            return True
        return False

    def _operator(self, char: str) -> Iterator[Token]:
        text = self._text
        if char in "<>" and text.startswith("(", self._at + 1):
            self._touch(dynamic=True)
            self._at += 1
            self._parenthesis()
            return
        number = self._word is not None and not self._word.quoted and "".join(self._parts).isdigit()
        if (document := _HEREDOC.match(text, self._at)) and not text.startswith("<<<", self._at):
            yield from self._ended()
            self._at = document.end()
            self._document(tabs=bool(document[1]))
            return
        if redirect := _REDIRECT.match(text, self._at):
            if number and char in "<>":
                self._word = None  # `2>` is one operator
                self._parts.clear()
            yield from self._ended()
            self._at = redirect.end()
            yield Operator.REDIRECT
            return
        yield from self._ended()
        piped = char == "|" and not text.startswith("||", self._at)
        self._at += 2 if text[self._at : self._at + 2] in ("||", "&&", "|&", ";;") else 1
        if char == "\n":
            yield from self._documented()
        yield Operator.PIPE if piped else Operator.END

    # -- parts of words --------------------------------------------------------------------------------

    def _touch(self, *, quoted: bool = False, dynamic: bool = False) -> None:
        if self._word is None:
            self._word = Word("")
        self._word.quoted |= quoted
        self._word.dynamic |= dynamic

    def _part(self, char: str) -> None:
        text = self._text
        if self._at >= len(text):
            return
        if char == "\\":
            if self._at + 1 >= len(text):
                raise Unfinished
            if text[self._at + 1] != "\n":
                self._touch(quoted=True)
                self._parts.append(text[self._at + 1])
            self._at += 2
        elif char == "'":
            self._touch(quoted=True)
            end = text.find("'", self._at + 1)
            if end < 0:
                raise Unfinished
            self._parts.append(text[self._at + 1 : end])
            self._at = end + 1
        elif char == '"':
            self._touch(quoted=True)
            self._at += 1
            self._double()
        elif char == "$":
            self._dollar(double=False)
        elif char == "`":
            self._backquoted()
        elif char in "*?[{":
            # Patterns and braces become other words; `{` alone is a reserved one.
            alone = (
                char == "{"
                and self._word is None
                and text[self._at + 1 : self._at + 2] in ("", " ", "\t", "\n")
            )
            self._touch(dynamic=not alone and not (char == "{" and text.startswith("{}", self._at)))
            self._parts.append(char)
            self._at += 1
        else:
            match = _PLAIN.match(text, self._at)
            self._touch()
            self._parts.append(match[0] if match else char)
            self._at = match.end() if match else self._at + 1

    def _double(self) -> None:
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            if char == '"':
                self._at += 1
                return
            if char == "\\" and text[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                self._parts.append(text[self._at + 1].strip("\n"))
                self._at += 2
            elif char == "$":
                self._dollar(double=True)
            elif char == "`":
                self._backquoted()
            else:
                self._parts.append(char)
                self._at += 1
        raise Unfinished

    def _dollar(self, *, double: bool) -> None:
        text, at = self._text, self._at
        following = text[at + 1 : at + 2]
        if following == "(":
            self._touch(dynamic=True)
            self._at = at + 1
            self._parenthesis()
        elif following == "{":
            self._touch(dynamic=True)
            self._at = at + 2
            self._brace()
        elif following == "'" and not double:
            self._touch(quoted=True)
            self._ansi(at + 2)
        elif following == '"' and not double:
            self._at = at + 1
        elif match := _NAME.match(text, at + 1):
            self._touch(dynamic=True)
            self._at = match.end()
        else:
            self._touch()
            self._parts.append("$")
            self._at = at + 1

    def _ansi(self, begin: int) -> None:
        text, at = self._text, begin
        while at < len(text) and text[at] != "'":
            at += 2 if text[at] == "\\" else 1
        if at >= len(text):
            raise Unfinished
        self._parts.append(_ANSI.sub(_unescaped, text[begin:at]))
        self._at = at + 1

    def _parenthesis(self) -> None:
        """Take what is in parentheses, nested and quoted as it may be; the position is at the first of them."""
        inner = self._balanced("(", ")")
        # `$((1 + 2))` runs nothing by itself; what it substitutes does.
        if not (inner.startswith("(") and inner.endswith(")")) or "$(" in inner or "`" in inner:
            self._inside.append(Substituted(inner))

    def _brace(self) -> None:
        self._at -= 1
        inner = self._balanced("{", "}")
        if "$(" in inner or "`" in inner:
            self._inside.append(Substituted(inner))

    def _balanced(self, opens: str, closes: str) -> str:
        text, begin, depth = self._text, self._at + 1, 0
        at = self._at
        while at < len(text):
            char = text[at]
            if char == "\\":
                at += 1
            elif char == "'":
                at = text.find("'", at + 1)
                if at < 0:
                    break
            elif char == opens:
                depth += 1
            elif char == closes:
                depth -= 1
                if not depth:
                    self._at = at + 1
                    return text[begin:at]
            at += 1
        raise Unfinished

    def _backquoted(self) -> None:
        text, at = self._text, self._at + 1
        while at < len(text) and text[at] != "`":
            at += 2 if text[at] == "\\" else 1
        if at >= len(text):
            raise Unfinished
        self._touch(dynamic=True)
        self._inside.append(Substituted(re.sub(r"\\([$`\\])", r"\1", text[self._at + 1 : at])))
        self._at = at + 1

    # -- here-documents --------------------------------------------------------------------------------

    def _document(self, *, tabs: bool) -> None:
        match = re.compile(r"[^\s;&|()<>]+").match(self._text, self._at)
        if match is None:
            return
        word = match[0]
        self._at = match.end()
        literal = any(quote in word for quote in "'\"\\")
        self._documents.append((re.sub(r"['\"\\]", "", word), tabs, literal))

    def _documented(self) -> Iterator[Token]:
        """Skip the bodies of here-documents; what they substitute is run all the same."""
        documents, self._documents = self._documents, []
        for delimiter, tabs, literal in documents:
            while True:
                if self._at >= len(self._text):
                    raise Unfinished
                end = self._text.find("\n", self._at)
                line = self._text[self._at : end if end >= 0 else len(self._text)]
                self._at = end + 1 if end >= 0 else len(self._text)
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
                if not literal and ("$(" in line or "`" in line):
                    yield Substituted(line)


def _unescaped(match: re.Match[str]) -> str:
    for group in (1, 2, 3):
        if match[group]:
            number = int(match[group], 16)
            return chr(number) if number < 0x110000 else ""
    if match[4]:
        return chr(int(match[4], 8) & 0xFF)
    return _LETTERS.get(match[5], match[5])
