"""Check a condition against the model when the configuration is read: names, types, and what can never be meant.

A wrong name gets the nearest right one, a wrong type the two that do not fit. What passes is a tree whose names are
fields; nothing of it can fail at run time for its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, cast

import re2  # pyright: ignore[reportMissingTypeStubs]

from recgate_policy_cel.model import BOOL, FIELDS, INT, INTS, KINDS, LABELS, ROOTS, STRING, STRINGS, Nature
from recgate_policy_cel.syntax import (
    Access,
    Binary,
    Call,
    ConditionError,
    Index,
    ListOf,
    Literal,
    Name,
    Node,
    Not,
    Ternary,
    parse,
)
from recgate_policy_cel.tree import (
    Both,
    Choice,
    Compare,
    Condition,
    Constant,
    Constants,
    Each,
    Either,
    Function,
    HasLabel,
    Label,
    Matches,
    Negation,
    Ref,
    Threshold,
    Variable,
)

__all__ = ["check"]

_re2 = cast("Any", re2)  # the distribution has no types

MAX_REGEX: Final = 1_000  # characters of one pattern
MAX_REGEX_MEMORY: Final = 8 << 20  # bytes of one compiled pattern and its automaton
_TEXT_TESTS: Final = ("contains", "startsWith", "endsWith")
_METHODS: Final = (*_TEXT_TESTS, "matches", "size", "exists", "all")
_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_EMPTY: Final = "list()"
_ELEMENT: Final = {STRINGS: STRING, INTS: INT}

Typed = tuple[Condition, str]


@lru_cache(maxsize=4_096)
def check(text: str) -> Condition:
    """Give a condition, checked. Raises `ConditionError` with the column, what is wrong, and what to do."""
    node = parse(text)
    condition, type_ = _Checker().typed(node)
    if type_ != BOOL:
        raise ConditionError(node.at, f"a condition is true or false, this is of type {type_}")
    return condition


def _nearest(word: str, known: Sequence[str], prefix: str = "") -> str:
    close = get_close_matches(word, known, n=1, cutoff=0.5) or [
        name for name in known if name.lower() == word.lower()
    ]
    if close:
        return f"Did you mean `{prefix}{close[0]}`?"
    return f"There are: {', '.join(prefix + name for name in known)}."


class _Checker:
    """One pass over the syntax, giving the checked tree and the type of every node."""

    def __init__(self) -> None:
        self._variable = ""

    def typed(self, node: Node) -> Typed:
        match node:
            case Literal():
                kind = (
                    BOOL if isinstance(node.value, bool) else INT if isinstance(node.value, int) else STRING
                )
                return Constant(node.value), kind
            case ListOf():
                return self._list(node)
            case Name():
                return self._name(node)
            case Access():
                return self._access(node)
            case Index():
                return self._index(node)
            case Call():
                return self._call(node)
            case Not():
                return Negation(self.of_type(node.of, BOOL, "`!`")), BOOL
            case Binary():
                return self._binary(node)
            case Ternary():
                return self._ternary(node)

    def of_type(self, node: Node, wanted: str, where: str) -> Condition:
        condition, found = self.typed(node)
        if found != wanted:
            raise ConditionError(node.at, f"{where} wants {wanted}, not {found}")
        return condition

    # -- names -------------------------------------------------------------------------------------------

    def _name(self, node: Name) -> Typed:
        if self._variable and node.name == self._variable:
            return Variable(), STRING
        if node.name in ROOTS:
            raise ConditionError(
                node.at, f"`{node.name}` is not a value", f"Name a field of it: {_example(node.name)}."
            )
        known = [*ROOTS, self._variable] if self._variable else ROOTS
        raise ConditionError(node.at, f"there is no `{node.name}`", _nearest(node.name, known))

    def _access(self, node: Access) -> Typed:
        if _is_labels(node.of):
            return Label(node.name), STRING
        if not isinstance(node.of, Name) or node.of.name == self._variable:
            self.typed(node.of)
            raise ConditionError(node.at, f"there is no field `{node.name}` in it")
        root = node.of.name
        if root not in ROOTS:
            return self._name(node.of)
        field = FIELDS.get((root, node.name))
        if field is None:
            known = [name for of, name in FIELDS if of == root]
            hint = _nearest(node.name, known, f"{root}.")
            if (remedy := _OTHERS.get((root, node.name))) is not None:
                hint = remedy
            raise ConditionError(node.at, f"`{root}` has no field `{node.name}`", hint)
        if field.type == LABELS:
            raise ConditionError(
                node.at, "labels are looked up one by one", 'Name one: target.labels.env == "prod".'
            )
        if field.nature is Nature.COUNTER:
            remedy = f"Write the number itself: {field.path} > 100."
            raise ConditionError(node.at, f"{field.path} can only be compared with a number", remedy)
        return Ref(field), field.type

    def _index(self, node: Index) -> Typed:
        if not _is_labels(node.of):
            self.typed(node.of)
            raise ConditionError(node.at, "only labels are looked up by `[…]`", 'For a list: `"x" in list`.')
        return Label(self._label(node.key)), STRING

    def _label(self, key: Node) -> str:
        if not isinstance(key, Literal) or not isinstance(key.value, str):
            raise ConditionError(key.at, "a label is named by a string")
        return key.value

    def _list(self, node: ListOf) -> Typed:
        if not node.items:
            return Constants(()), _EMPTY
        typed = [self.typed(item) for item in node.items]
        first = typed[0][1]
        for item, (_, found) in zip(node.items, typed, strict=True):
            if found != first:
                raise ConditionError(item.at, f"the list has {first} and {found} in it")
        if first not in (STRING, INT):
            raise ConditionError(node.at, f"there are no lists of {first}")
        return Constants(tuple(condition for condition, _ in typed)), STRINGS if first == STRING else INTS

    # -- operators -----------------------------------------------------------------------------------------

    def _ternary(self, node: Ternary) -> Typed:
        condition = self.of_type(node.condition, BOOL, "`?`")
        (yes, found), (no, other) = self.typed(node.yes), self.typed(node.no)
        if found != other:
            raise ConditionError(node.at, f"`?:` gives {found} or {other}")
        if found != BOOL:
            remedy = "Join two conditions by `||`."
            raise ConditionError(node.at, f"`?:` gives {found}; here it gives true or false only", remedy)
        return Choice(condition, yes, no), found

    def _binary(self, node: Binary) -> Typed:
        if node.op in ("&&", "||"):
            where = f"`{node.op}`"
            left, right = self.of_type(node.left, BOOL, where), self.of_type(node.right, BOOL, where)
            return (Both if node.op == "&&" else Either)(left, right), BOOL
        threshold = self._threshold(node)
        if threshold is not None:
            return threshold, BOOL
        if node.op == "in" and _is_labels(node.right):
            return HasLabel(self._label(node.left)), BOOL
        (left, found), (right, other) = self.typed(node.left), self.typed(node.right)
        if node.op == "in":
            self._contained(node, found, other)
        elif found != other:
            raise ConditionError(node.at, f"{found} and {other} are never equal, and have no order")
        elif node.op not in ("==", "!=") and found not in (INT, STRING):
            raise ConditionError(node.at, f"{found} has no order")
        _known_kinds(node)
        return Compare(node.op, left, right), BOOL

    def _contained(self, node: Binary, item: str, holder: str) -> None:
        if holder == _EMPTY:
            raise ConditionError(node.at, "nothing is in an empty list")
        if holder == STRING:
            raise ConditionError(node.at, "`in` looks into lists", 'In a string: `text.contains("x")`.')
        if _ELEMENT.get(holder) != item:
            raise ConditionError(node.at, f"{item} is never in {holder}")

    def _threshold(self, node: Binary) -> Condition | None:
        """Give a counter's comparison with a number, or None where no counter is compared."""
        left, right = _counter(node.left), _counter(node.right)
        field = left or right
        if field is None:
            return None
        other = node.right if left else node.left
        if node.op == "in" and left and isinstance(other, ListOf):
            values = tuple(number for item in other.items if (number := _number(item)) is not None)
            if len(values) == len(other.items) and values:
                return Threshold(FIELDS[field], "in", values)
        elif node.op != "in" and (number := _number(other)) is not None:
            return Threshold(FIELDS[field], node.op if left else _FLIPPED[node.op], number)
        path = ".".join(field)
        remedy = f"Write the number itself: {path} > 100."
        raise ConditionError(node.at, f"{path} can only be compared with a number", remedy)

    # -- functions -----------------------------------------------------------------------------------------

    def _call(self, node: Call) -> Typed:
        if node.of is None:
            return self._global(node)
        if node.name in ("exists", "all"):
            return self._each(node, node.of)
        if _is_labels(node.of):
            raise ConditionError(node.at, f"labels have no `{node.name}`", "Name one: target.labels.env.")
        of, found = self.typed(node.of)
        if node.name not in _METHODS:
            if node.name in ("lowerAscii", "upperAscii"):
                remedy = 'Write `text.matches("(?i)…")`.'
                raise ConditionError(node.at, f"there is no `{node.name}` here", remedy)
            raise ConditionError(
                node.at, f"there is no function `{node.name}`", _nearest(node.name, _METHODS)
            )
        if node.name == "size":
            return self._size(node, of, found, node.args)
        self._arity(node, 1)
        if found != STRING:
            remedy = "For a list: `list.exists(x, x." + node.name + "(…))`." if found == STRINGS else ""
            raise ConditionError(node.at, f"`{node.name}` is of a string, not of {found}", remedy)
        if node.name == "matches":
            return self._matches(of, node.args[0]), BOOL
        return Function(node.name, of, (self.of_type(node.args[0], STRING, f"`{node.name}`"),)), BOOL

    def _global(self, node: Call) -> Typed:
        if node.name == "has":
            self._arity(node, 1)
            (arg,) = node.args
            if isinstance(arg, Access) and _is_labels(arg.of):
                return HasLabel(arg.name), BOOL
            raise ConditionError(
                node.at, "`has` asks for labels: has(target.labels.env)", "Every field is there."
            )
        if node.name == "size":
            self._arity(node, 1)
            of, found = self.typed(node.args[0])
            return self._size(node, of, found, ())
        if node.name == "matches":
            self._arity(node, 2)
            return self._matches(self.of_type(node.args[0], STRING, "`matches`"), node.args[1]), BOOL
        known = ["has", "size", "matches"]
        raise ConditionError(node.at, f"there is no function `{node.name}`", _nearest(node.name, known))

    def _arity(self, node: Call, count: int) -> None:
        if len(node.args) != count:
            raise ConditionError(node.at, f"`{node.name}` takes {count} argument{'s' * (count != 1)}")

    def _size(self, node: Call, of: Condition, found: str, args: tuple[Node, ...]) -> Typed:
        if args:
            raise ConditionError(node.at, "`size` takes nothing")
        if found not in (STRING, STRINGS, INTS):
            raise ConditionError(node.at, f"{found} has no size")
        # The library counts a string's bytes where CEL counts characters.
        return Function("characters" if found == STRING else "size", of), INT

    def _each(self, node: Call, of: Node) -> Typed:
        self._arity(node, 2)
        over, found = self.typed(of)
        variable, body = node.args
        if found != STRINGS:
            raise ConditionError(node.at, f"`{node.name}` is of a list of strings, not of {found}")
        if not isinstance(variable, Name) or variable.name in ROOTS:
            raise ConditionError(
                node.at, f"`{node.name}` begins with the name of its variable", "list.exists(x, …)"
            )
        if self._variable:
            # One within the other takes the product of both lists' lengths.
            raise ConditionError(node.at, f"`{node.name}` cannot stand in another", "Use two conditions.")
        self._variable = variable.name
        checked = self.of_type(body, BOOL, f"`{node.name}`")
        self._variable = ""
        return Each(node.name, over, checked), BOOL

    def _matches(self, of: Condition, pattern: Node) -> Condition:
        if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
            raise ConditionError(pattern.at, "a pattern is a string in the rule itself")
        if len(pattern.value) > MAX_REGEX:
            raise ConditionError(pattern.at, f"the pattern is longer than {MAX_REGEX} characters")
        try:
            return Matches(of, pattern.value, _compiled(pattern.value))
        except _re2.error as exc:
            words = exc.args[0].decode(errors="replace") if isinstance(exc.args[0], bytes) else str(exc)
            remedy = 'The syntax is RE2\'s; backslashes are doubled, or the string is r"…".'
            raise ConditionError(pattern.at, f"the pattern is not right: {words[:200]}", remedy) from None


def _compiled(pattern: str) -> Callable[[str], bool]:
    """Compile once, for linear time: CEL's regular expressions are RE2's."""
    options = _re2.Options()
    options.max_mem = MAX_REGEX_MEMORY
    options.log_errors = False
    search = _re2.compile(pattern, options).search

    def found(text: str) -> bool:
        return search(text) is not None

    return found


def _is_labels(node: Node) -> bool:
    return (
        isinstance(node, Access)
        and node.name == "labels"
        and isinstance(node.of, Name)
        and node.of.name == "target"
    )


def _number(node: Node) -> int | None:
    if isinstance(node, Literal) and isinstance(node.value, int) and not isinstance(node.value, bool):
        return node.value
    return None


def _counter(node: Node) -> tuple[str, str] | None:
    if isinstance(node, Access) and isinstance(node.of, Name):
        key = (node.of.name, node.name)
        field = FIELDS.get(key)
        if field is not None and field.nature is Nature.COUNTER:
            return key
    return None


def _example(root: str) -> str:
    return ", ".join(field.path for field in FIELDS.values() if field.root == root)


def _known_kinds(node: Binary) -> None:
    """Refuse a word for `request.kind` that no request has: such a rule would be silent for ever."""
    if "request.kind" not in {_path(node.left), _path(node.right)}:
        return
    for side in (node.left, node.right):
        for item in side.items if isinstance(side, ListOf) else (side,):
            if isinstance(item, Literal) and item.value not in KINDS:
                remedy = _nearest(str(item.value), KINDS)
                raise ConditionError(item.at, f"there is no kind of request `{item.value}`", remedy)


def _path(node: Node) -> str:
    return f"{node.of.name}.{node.name}" if isinstance(node, Access) and isinstance(node.of, Name) else ""


_OTHERS: Final = {
    ("principal", "group"): 'Did you mean `"x" in principal.groups`?',
}
