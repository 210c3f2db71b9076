"""What is left of a condition once some of it is known, and the most that it could be where facts are not known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import cast

from recgate_policy_cel.evaluation import Program
from recgate_policy_cel.evaluation import name_of as named
from recgate_policy_cel.model import Nature
from recgate_policy_cel.tree import (
    FALSE,
    TRUE,
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
    reads,
    walk,
)

__all__ = ["fold", "upper"]


def fold(node: Condition, known: Mapping[str, object]) -> Condition:
    """Give what is left of a condition where the names in `known` have these values.

    Raises what the library raises; an exception must become a deny of everything that the condition speaks of.
    """
    match node:
        case Negation():
            return _negated(fold(node.of, known))
        case Both():
            return _both(fold(node.left, known), fold(node.right, known))
        case Either():
            return _either(fold(node.left, known), fold(node.right, known))
        case Choice():
            return _choice(fold(node.condition, known), fold(node.yes, known), fold(node.no, known))
        case _:
            return _atom(node, known)


def upper(node: Condition) -> Condition:
    """Give a condition that reads no facts and is true wherever `node` could be true, whatever the facts are."""
    return _bound(node, most=True)


def _bound(node: Condition, *, most: bool) -> Condition:
    if not reads(node, Nature.FACT):
        return node
    match node:
        case Negation():
            return _negated(_bound(node.of, most=not most))
        case Both():
            return _both(_bound(node.left, most=most), _bound(node.right, most=most))
        case Either():
            return _either(_bound(node.left, most=most), _bound(node.right, most=most))
        case Choice():
            yes, no = _bound(node.yes, most=most), _bound(node.no, most=most)
            if not reads(node.condition, Nature.FACT):
                return _choice(node.condition, yes, no)
            return _either(yes, no) if most else _both(yes, no)
        case _:
            return TRUE if most else FALSE


def _negated(of: Condition) -> Condition:
    return Constant(not of.value) if isinstance(of, Constant) else Negation(of)


def _both(left: Condition, right: Condition) -> Condition:
    if FALSE in (left, right):
        return FALSE
    return right if left == TRUE else left if right == TRUE else Both(left, right)


def _either(left: Condition, right: Condition) -> Condition:
    if TRUE in (left, right):
        return TRUE
    return right if left == FALSE else left if right == FALSE else Either(left, right)


def _choice(condition: Condition, yes: Condition, no: Condition) -> Condition:
    if isinstance(condition, Constant):
        return yes if condition.value else no
    return Choice(condition, yes, no)


def _atom(node: Condition, known: Mapping[str, object]) -> Condition:
    leaves = [each for each in walk(node) if isinstance(each, Ref | Label | HasLabel | Threshold)]
    if all(named(leaf) in known for leaf in leaves):
        return node if isinstance(node, Constant) else Constant(_program(node)(known))
    return _filled(node, known)


@lru_cache(maxsize=8_192)
def _program(node: Condition) -> Program:
    return Program.of(node)


def _filled(node: Condition, known: Mapping[str, object]) -> Condition:
    """Write what is known into an atom of which not everything is."""
    match node:
        case Ref() | Label() | HasLabel() | Threshold():
            return _constant(known[named(node)]) if named(node) in known else node
        case Compare():
            return Compare(node.op, _filled(node.left, known), _filled(node.right, known))
        case Function():
            return Function(
                node.name, _filled(node.of, known), tuple(_filled(arg, known) for arg in node.args)
            )
        case Matches():
            return Matches(_filled(node.of, known), node.pattern, node.found)
        case Each():
            return Each(node.name, _filled(node.over, known), _filled(node.body, known))
        case Constants():
            return Constants(tuple(_filled(item, known) for item in node.items))
        case Negation():
            return Negation(_filled(node.of, known))
        case Both():
            return Both(_filled(node.left, known), _filled(node.right, known))
        case Either():
            return Either(_filled(node.left, known), _filled(node.right, known))
        case Choice():
            return Choice(_filled(node.condition, known), _filled(node.yes, known), _filled(node.no, known))
        case Constant() | Variable():
            return node


def _constant(value: object) -> Condition:
    if isinstance(value, tuple):
        return Constants(tuple(Constant(cast("str", item)) for item in cast("tuple[object, ...]", value)))
    return Constant(cast("str", value))
