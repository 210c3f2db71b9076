"""Evaluate what was checked: written out anew as CEL with flat names, and run by the library.

Only here is the library imported. It compiles a text once; values come by name at every evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import cel  # pyright: ignore[reportMissingTypeStubs]

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
    walk,
)

__all__ = ["Program", "name_of"]

_cel = cast("Any", cel)  # the distribution has no types
_VARIABLE: Final = "v"


def name_of(node: Ref | Label | HasLabel | Threshold) -> str:
    """Give the flat name that stands for a node in what the library runs."""
    match node:
        case Ref():
            return f"{node.field.root}_{node.field.name}"
        case Label():
            return "label_" + node.key.encode().hex()
        case HasLabel():
            return "has_" + node.key.encode().hex()
        case Threshold():
            values = node.value if isinstance(node.value, tuple) else (node.value,)
            op = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne", "in": "in"}[node.op]
            return f"{node.field.name}_{op}_" + "_".join(str(value).replace("-", "m") for value in values)


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled condition and the names that it reads."""

    names: tuple[str, ...]
    _run: Callable[[object], object]
    _functions: tuple[tuple[str, Callable[[str], bool]], ...]

    @classmethod
    def of(cls, condition: Condition) -> Program:
        """Compile a condition."""
        patterns = {each.pattern: each for each in walk(condition) if isinstance(each, Matches)}
        functions = {pattern: f"m{n}" for n, pattern in enumerate(patterns)}
        text = _Writer(functions).text(condition)
        leaves = (each for each in walk(condition) if isinstance(each, Ref | Label | HasLabel | Threshold))
        named = tuple((functions[pattern], each.found) for pattern, each in patterns.items())
        return cls(tuple(sorted({name_of(leaf) for leaf in leaves})), _cel.compile(text).execute, named)

    def __call__(self, values: Mapping[str, object]) -> bool:
        """Evaluate. Raises what the library raises, and `TypeError` for what is neither true nor false."""
        context = _cel.Context()
        context.add_function("characters", len)
        for name, function in self._functions:
            context.add_function(name, function)
        for name in self.names:
            value = values[name]
            context.add_variable(
                name, list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value
            )
        result = self._run(context)
        if result is True or result is False:
            return result
        raise TypeError("a condition is true or false")


class _Writer:
    """Writes a checked tree as CEL: every operator in parentheses, every string escaped."""

    def __init__(self, functions: Mapping[str, str]) -> None:
        self._functions = functions

    def text(self, node: Condition) -> str:
        match node:
            case Constant():
                return _literal(node.value)
            case Constants():
                return f"[{', '.join(map(self.text, node.items))}]"
            case Ref() | Label() | HasLabel() | Threshold():
                return name_of(node)
            case Variable():
                return _VARIABLE
            case Compare():
                return f"({self.text(node.left)} {node.op} {self.text(node.right)})"
            case Function():
                if not node.args:
                    return f"{node.name}({self.text(node.of)})"
                return f"{self.text(node.of)}.{node.name}({', '.join(map(self.text, node.args))})"
            case Matches():
                return f"{self._functions[node.pattern]}({self.text(node.of)})"
            case Each():
                return f"{self.text(node.over)}.{node.name}({_VARIABLE}, {self.text(node.body)})"
            case Negation():
                return f"!({self.text(node.of)})"
            case Both():
                return f"({self.text(node.left)} && {self.text(node.right)})"
            case Either():
                return f"({self.text(node.left)} || {self.text(node.right)})"
            case Choice():
                return f"({self.text(node.condition)} ? {self.text(node.yes)} : {self.text(node.no)})"


def _literal(value: bool | int | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"({value})" if value < 0 else str(value)
    return '"' + "".join(map(_character, value)) + '"'


def _character(character: str) -> str:
    if character.isascii() and character.isprintable() and character not in '"\\':
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
