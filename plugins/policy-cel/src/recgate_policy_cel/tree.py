"""A checked condition: names are fields of the model, counters are thresholds, patterns are compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from recgate_policy_cel.model import Field, Nature

__all__ = [
    "FALSE", "TRUE", "Both", "Choice", "Compare", "Condition", "Constant", "Constants", "Each", "Either", "Function",
    "HasLabel", "Label", "Matches", "Negation", "Ref", "Threshold", "Variable", "reads", "walk",
]  # fmt: skip

Value = bool | int | str


@dataclass(frozen=True, slots=True)
class Constant:
    """A value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Constants:
    """A list of values, or of what is not known yet."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Ref:
    """A field of the model."""

    field: Field


@dataclass(frozen=True, slots=True)
class Label:
    """A label of the target; missing is `""`."""

    key: str


@dataclass(frozen=True, slots=True)
class HasLabel:
    """Whether the target has a label."""

    key: str


@dataclass(frozen=True, slots=True)
class Variable:
    """The variable of an `Each`."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A counter compared with a number, or with several (`in`). Judged without the library, at every request."""

    field: Field
    op: str
    value: int | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right` of anything but booleans' logic."""

    op: str
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Function:
    """`contains`, `startsWith`, `endsWith` of a string, `characters` of one, `size` of a list."""

    name: str
    of: Condition
    args: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression that is found in a string."""

    of: Condition
    pattern: str
    found: Callable[[str], bool] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Each:
    """`over.exists(v, body)` or `over.all(v, body)`."""

    name: str
    over: Condition
    body: Condition


@dataclass(frozen=True, slots=True)
class Negation:
    """`!of`."""

    of: Condition


@dataclass(frozen=True, slots=True)
class Both:
    """`left && right`."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Either:
    """`left || right`."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Choice:
    """`condition ? yes : no`."""

    condition: Condition
    yes: Condition
    no: Condition


Condition = (
    Constant | Constants | Ref | Label | HasLabel | Variable | Threshold | Compare | Function | Matches | Each
    | Negation | Both | Either | Choice
)  # fmt: skip

TRUE: Final = Constant(True)
FALSE: Final = Constant(False)


def children(node: Condition) -> tuple[Condition, ...]:
    """Give the nodes directly below."""
    match node:
        case Compare() | Both() | Either():
            return (node.left, node.right)
        case Negation() | Matches():
            return (node.of,)
        case Function():
            return (node.of, *node.args)
        case Each():
            return (node.over, node.body)
        case Choice():
            return (node.condition, node.yes, node.no)
        case Constants():
            return node.items
        case _:
            return ()


def walk(node: Condition) -> Iterator[Condition]:
    """Give a node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def reads(node: Condition, *natures: Nature) -> frozenset[Field]:
    """Name the fields that a condition reads, of these natures or of all."""
    found = (each.field for each in walk(node) if isinstance(each, Ref | Threshold))
    return frozenset(field for field in found if not natures or field.nature in natures)
