"""Read a condition: the part of CEL that rules need, parsed strictly, so that what is checked is what is evaluated.

The evaluating library shows no syntax tree. So conditions are parsed here, checked on this tree, and written out anew
from it for the library: text that the two could read differently never reaches it. Left out of CEL are arithmetic,
`double`, `uint`, `bytes`, `null`, maps, messages and the macros `map`, `filter` and `exists_one`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

__all__ = [
    "MAX_ITEMS", "MAX_TEXT", "Access", "Binary", "Call", "ConditionError", "Index", "ListOf", "Literal", "Name", "Node",
    "Not", "Ternary", "Value", "parse",
]  # fmt: skip

MAX_TEXT: Final = 4_096  # characters of one condition
MAX_DEPTH: Final = 40  # parentheses and operators within each other
MAX_ITEMS: Final = 1_000  # of one list
MAX_INT: Final = (1 << 63) - 1  # of CEL's `int`

Value = bool | int | str


class ConditionError(ValueError):
    """A condition is wrong: where (1-based column), what, and what to do."""

    def __init__(self, at: int, wrong: str, remedy: str = "") -> None:
        self.at = at
        end = "" if wrong.endswith((".", "?")) else "."
        super().__init__(f"column {at + 1}: {wrong}{end} {remedy}".rstrip())


@dataclass(frozen=True, slots=True)
class Literal:
    """`true`, `42`, `"text"`."""

    value: Value
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A root of the model, or the variable of a macro."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Access:
    """`of.name`."""

    of: Node
    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """`of[key]`."""

    of: Node
    key: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`name(args)`, or `of.name(args)`."""

    of: Node | None
    name: str
    args: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """`!of`."""

    of: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`: `&&`, `||`, comparisons, `in`."""

    op: str
    left: Node
    right: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Ternary:
    """`condition ? yes : no`."""

    condition: Node
    yes: Node
    no: Node
    at: int = field(default=0, compare=False)


Node = Literal | ListOf | Name | Access | Index | Call | Not | Binary | Ternary

_TOKEN: Final = re.compile(
    r"""
    (?P<blank>[ \t\r\n]+|//[^\n]*)
  | (?P<string>[rR]?(?:\"{3}|'{3}|\"|'))
  | (?P<number>[0-9][0-9A-Za-z_.]*)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\].,?:-])
    """,
    re.VERBOSE,
)
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_ESCAPES: Final = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "?": "?", '"': '"',
    "'": "'", "`": "`",
}  # fmt: skip
_HEX: Final = {"x": 2, "X": 2, "u": 4, "U": 8}
# CEL keeps these words for itself; none of them can be a name.
_RESERVED: Final = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `value` is what a literal stands for."""

    kind: str
    text: str
    at: int
    value: Value = ""


def parse(text: str) -> Node:
    """Give the tree of a condition. Raises `ConditionError`."""
    if len(text) > MAX_TEXT:
        raise ConditionError(0, f"is longer than {MAX_TEXT} characters", "Split it into several rules.")
    return _Parser(list(_tokens(text)), len(text)).whole()


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ConditionError(at, f"{_shown(text[at])} is not part of a condition", _why_not(text[at]))
        kind, found = str(match.lastgroup), match[0]
        if kind == "string":
            value, end = _string(text, match.start(), found)
            yield Token("literal", text[at:end], at, value)
            at = end
            continue
        if kind == "number":
            yield Token("literal", found, at, _number(found, at))
        elif kind != "blank":
            yield Token("word" if kind == "word" else found, found, at)
        at = match.end()


def _shown(character: str) -> str:
    return f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"


def _why_not(character: str) -> str:
    if character in "+*/%":
        return "Conditions compare; they do not calculate."
    if character == "=":
        return "Equality is `==`."
    if character in "&|":
        return "And is `&&`, or is `||`."
    if character == "{":
        return "There are no maps and messages in conditions."
    if not character.isascii():
        return "Outside of strings only ASCII is read: letters of other scripts look alike."
    return ""


def _number(text: str, at: int) -> int:
    digits = text[2:] if text[:2].lower() == "0x" else text
    base = 16 if digits is not text else 10
    try:
        if "_" in text:
            raise ValueError
        number = int(digits, base)
    except ValueError:
        raise ConditionError(at, f"`{text[:40]}` is no whole number", "Numbers are whole: 10000.") from None
    if number > MAX_INT:
        raise ConditionError(at, "the number does not fit into 64 bits")
    return number


def _string(text: str, start: int, opening: str) -> tuple[str, int]:
    """Give a string literal's value and where it ends."""
    raw = opening[0] in "rR"
    quote = opening[1:] if raw else opening
    at, value = start + len(opening), list[str]()
    while True:
        if at >= len(text) or (len(quote) == 1 and text[at] in "\r\n"):
            raise ConditionError(start, "the string does not end", f"Close it with {quote}")
        if text.startswith(quote, at):
            found = "".join(value)
            if any("\ud800" <= c <= "\udfff" for c in found):
                raise ConditionError(start, "the string has half of a character in it")
            return found, at + len(quote)
        if text[at] == "\\" and not raw:
            character, at = _escape(text, at)
            value.append(character)
        else:
            value.append(text[at])
            at += 1


def _escape(text: str, at: int) -> tuple[str, int]:
    letter = text[at + 1 : at + 2]
    if letter in _ESCAPES and letter:
        return _ESCAPES[letter], at + 2
    width = _HEX.get(letter)
    digits = text[at + 2 : at + 2 + width] if width else text[at + 1 : at + 4]
    try:
        if not digits.isalnum() or len(digits) != (width or 3):
            raise ValueError
        return chr(int(digits, 16 if width else 8)), at + (2 + width if width else 4)
    except (ValueError, OverflowError):
        remedy = 'Double the backslash, or write r"…".'
        raise ConditionError(at, f"`\\{letter}` is no escape of CEL", remedy) from None


class _Parser:
    """Recursive descent over CEL's grammar, operators by their precedence."""

    def __init__(self, tokens: list[Token], end: int) -> None:
        self._tokens = tokens
        self._n = 0
        self._end = end
        self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        if (token := self._peek()) is not None:
            raise ConditionError(token.at, f"`{token.text[:40]}` is too much", _between(token.text))
        return node

    # -- tokens ----------------------------------------------------------------------------------------

    def _peek(self) -> Token | None:
        return self._tokens[self._n] if self._n < len(self._tokens) else None

    def _is(self, *kinds: str) -> bool:
        token = self._peek()
        return token is not None and token.kind in kinds

    def _take(self) -> Token:
        token = self._peek()
        if token is None:
            raise ConditionError(self._end, "the condition ends too early")
        self._n += 1
        return token

    def _need(self, kind: str) -> Token:
        token = self._take()
        if token.kind != kind:
            what = "a name" if kind == "word" else f"`{kind}`"
            raise ConditionError(token.at, f"here should be {what}, not `{token.text[:40]}`")
        return token

    # -- grammar ---------------------------------------------------------------------------------------

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            at = token.at if (token := self._peek()) is not None else self._end
            raise ConditionError(at, f"is nested more than {MAX_DEPTH} deep", "Split it into several rules.")
        try:
            return self._ternary()
        finally:
            self._depth -= 1

    def _ternary(self) -> Node:
        node = self._chain("||")
        if not self._is("?"):
            return node
        at = self._take().at
        yes = self._expression()
        self._need(":")
        return Ternary(node, yes, self._expression(), at)

    def _chain(self, op: str) -> Node:
        parts = [self._chain("&&") if op == "||" else self._relation()]
        ats: list[int] = []
        while self._is(op):
            ats.append(self._take().at)
            parts.append(self._chain("&&") if op == "||" else self._relation())
        return _balanced(op, parts, ats)

    def _relation(self) -> Node:
        node = self._unary()
        token = self._peek()
        if token is None or token.text not in _RELATIONS or token.kind == "literal":
            return node
        self._take()
        node = Binary(token.text, node, self._unary(), token.at)
        following = self._peek()
        if following is not None and following.text in _RELATIONS and following.kind != "literal":
            remedy = "Join comparisons with `&&`, or use parentheses."
            raise ConditionError(following.at, "comparisons cannot be chained", remedy)
        return node

    def _unary(self) -> Node:
        if self._is("!"):
            at = self._take().at
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ConditionError(at, f"is nested more than {MAX_DEPTH} deep")
            try:
                return Not(self._unary(), at)
            finally:
                self._depth -= 1
        if self._is("-"):
            at = self._take().at
            token = self._need("literal")
            if isinstance(token.value, bool) or not isinstance(token.value, int):
                raise ConditionError(at, "`-` stands before numbers only")
            return Literal(-token.value, at)
        return self._member()

    def _member(self) -> Node:
        node = self._primary()
        for _ in range(MAX_DEPTH):
            if self._is("."):
                self._take()
                name = self._need("word")
                if self._is("("):
                    node = Call(node, name.text, self._arguments(), name.at)
                else:
                    node = Access(node, name.text, name.at)
            elif self._is("["):
                at = self._take().at
                key = self._expression()
                self._need("]")
                node = Index(node, key, at)
            else:
                return node
        at = token.at if (token := self._peek()) is not None else self._end
        raise ConditionError(at, f"is nested more than {MAX_DEPTH} deep")

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "literal":
            return Literal(token.value, token.at)
        if token.kind == "(":
            node = self._expression()
            self._need(")")
            return node
        if token.kind == "[":
            return ListOf(tuple(self._items("]")), token.at)
        if token.kind == "word":
            if token.text in ("true", "false"):
                return Literal(token.text == "true", token.at)
            if token.text in _RESERVED or token.text == "in":
                raise ConditionError(token.at, f"`{token.text}` is a word that CEL keeps for itself")
            if token.text == "null":
                raise ConditionError(
                    token.at, "nothing is null here", 'What is missing is `""`, 0, false or [].'
                )
            if self._is("("):
                return Call(None, token.text, self._arguments(), token.at)
            return Name(token.text, token.at)
        raise ConditionError(token.at, f"here should be a value, not `{token.text[:40]}`")

    def _arguments(self) -> tuple[Node, ...]:
        self._need("(")
        return tuple(self._items(")"))

    def _items(self, closing: str) -> Iterator[Node]:
        count = 0
        while not self._is(closing):
            count += 1
            if count > MAX_ITEMS:
                raise ConditionError(self._tokens[self._n].at, f"the list has more than {MAX_ITEMS} items")
            yield self._expression()
            if not self._is(","):
                break
            self._take()
        self._need(closing)


def _balanced(op: str, parts: list[Node], ats: list[int]) -> Node:
    """Join a chain as a balanced tree: `a && b && …` a thousand times is then ten deep, for everybody behind us."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    left = _balanced(op, parts[:half], ats[: half - 1])
    right = _balanced(op, parts[half:], ats[half:])
    return Binary(op, left, right, ats[half - 1])


def _between(text: str) -> str:
    return (
        "Conditions compare; they do not calculate."
        if text == "-"
        else "Is an `&&` or `||` missing before it?"
    )
