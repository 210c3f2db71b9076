"""Find rules that can never match and rules that others hide, by trying every combination of what they tell apart.

A condition tells values apart only at its own constants, so a few values stand for all: each constant, its neighbours,
and one that is none of them. What no field and constant can say (a pattern, a size) is tried as true and as false. So
what is found is certain, and what is not found proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Final

from recgate.model import TargetInfo
from recgate.policy import Act
from recgate.policy.examining import Finding
from recgate_policy_cel.evaluation import name_of
from recgate_policy_cel.folding import fold, upper
from recgate_policy_cel.model import FIELDS, KINDS, ZERO, Nature
from recgate_policy_cel.rules import CelRule
from recgate_policy_cel.tree import (
    FALSE,
    Both,
    Choice,
    Compare,
    Condition,
    Constant,
    Constants,
    Either,
    HasLabel,
    Label,
    Negation,
    Ref,
    Threshold,
    reads,
    walk,
)
from recgate_policy_cel.values import act_value

__all__ = ["examine"]

MAX_TRIED: Final = 20_000  # combinations of one question; a rule that tells more apart is left alone
MAX_COMPARED: Final = 300  # rules of which each is compared with each
_KIND: Final = name_of(Ref(FIELDS["request", "kind"]))
_VERB: Final = name_of(Ref(FIELDS["request", "verb"]))
_OTHER: Final = "\0"  # a string that no rule has in it
_BOUNDS: Final = {"hour": (0, 23), "weekday": (1, 7)}

Rules = Sequence[tuple[CelRule, Condition]]


def examine(rules: Rules, targets: Sequence[TargetInfo]) -> Iterator[Finding]:
    """Give what is odd about each rule, in their order."""
    for number, (rule, condition) in enumerate(rules):
        if not _possible(condition):
            yield Finding(rule.name, "can never match: its condition contradicts itself" + _why(condition))
            continue
        if targets and not any(_at(condition, target) for target in targets):
            yield Finding(rule.name, "matches no configured target: look at its names and labels")
            continue
        if (hidden := _hidden_by(number, rules)) is not None:
            yield Finding(rule.name, f"is never heard of: {hidden} denies whatever it matches")
        if (kinds := _unmeant(condition)) and rule.then.effect != "alert":
            remedy = 'Begin with `request.kind == "sql" &&`, or whichever is meant'
            yield Finding(
                rule.name,
                f"also matches requests of the kind {kinds}, of which its fields say nothing. {remedy}",
            )


def _why(condition: Condition) -> str:
    verbs = {
        constant for name, constant in _constants(condition) if name == _VERB and isinstance(constant, str)
    }
    low = sorted(verb for verb in verbs if verb != verb.upper() or not verb.isascii())
    return f" (verbs of SQL are upper-case ASCII, unlike {low[0]!r})" if low else ""


def _at(condition: Condition, target: TargetInfo) -> bool:
    """Whether a condition could match anything at a target."""
    known: dict[str, object] = {}
    for node in walk(condition):
        if isinstance(node, Label):
            known[name_of(node)] = target.labels.get(node.key, "")
        elif isinstance(node, HasLabel):
            known[name_of(node)] = node.key in target.labels
        elif isinstance(node, Ref) and node.field.root == "target":
            known[name_of(node)] = getattr(target, node.field.name)
    return any(fold(condition, {**known, _KIND: kind}) != FALSE for kind in KINDS)


def _hidden_by(number: int, rules: Rules) -> str | None:
    """Name a rule that denies whatever this one matches: one before it, or any where this one only holds or allows."""
    rule, condition = rules[number]
    if rule.then.effect == "alert" or len(rules) > MAX_COMPARED:
        return None
    for position, (other, over) in enumerate(rules):
        if other.then.effect != "deny" or position == number:
            continue
        if rule.then.effect == "deny" and position > number:
            continue
        if _implies(condition, over) and _implies(_for_opaque(rule, condition), _for_opaque(other, over)):
            return other.name
    return None


def _for_opaque(rule: CelRule, condition: Condition) -> Condition:
    return upper(condition) if rule.matches_opaque else condition


def _unmeant(condition: Condition) -> str:
    """Name a kind of request whose zero values match a condition that asks for facts and for no kind."""
    if any(field.nature is Nature.KIND for field in reads(condition)):
        return ""
    facts = reads(condition, Nature.FACT)
    if not facts:
        return ""
    zero = {name_of(Ref(field)): act_value(field, Act()) for field in facts}
    said = {name_of(Ref(field)): ZERO[field.type] for field in reads(condition, Nature.PLAIN)}
    return "`session`" if _possible(fold(condition, {**said, **zero})) else ""


def _implies(one: Condition, other: Condition) -> bool:
    return not _possible(Both(one, Negation(other)), unknown=True)


def _possible(condition: Condition, *, unknown: bool = True) -> bool:
    """Whether any combination makes a condition true; `unknown` is the answer where there are too many."""
    domains = _domains(condition)
    if prod(map(len, domains.values())) > MAX_TRIED:
        return unknown
    names = list(domains)
    return any(
        _feasible(values) and _holds(condition, values)
        for values in (dict(zip(names, row, strict=True)) for row in product(*domains.values()))
    )


def _feasible(values: Mapping[object, object]) -> bool:
    """A verb of SQL is upper-case ASCII."""
    verb = values.get(_VERB)
    return not (
        values.get(_KIND) == "sql" and isinstance(verb, str) and (verb != verb.upper() or not verb.isascii())
    )


def _domains(condition: Condition) -> dict[object, list[object]]:
    """Give what has to be tried: by flat name for fields, by the node itself for what is only true or false."""
    found: dict[object, dict[object, None]] = {}
    for atom in _atoms(condition):
        match atom:
            case Threshold():
                name = name_of(Ref(atom.field))
                low, high = _BOUNDS.get(atom.field.name, (0, None))
                values = atom.value if isinstance(atom.value, tuple) else (atom.value,)
                near = {each + step for each in values for step in (-1, 0, 1)}
                good = [each for each in near if each >= low and (high is None or each <= high)]
                found.setdefault(name, {low: None}).update(dict.fromkeys(good))
            case Compare() if (simple := _simple(atom)) is not None:
                name, constants = simple
                found.setdefault(name, {}).update(dict.fromkeys(constants))
            case _:
                found[atom] = {True: None, False: None}
    for name, values in found.items():
        if isinstance(name, str) and any(isinstance(each, str) for each in values):
            values.update(dict.fromkeys(KINDS) if name == _KIND else {_OTHER: None})
    return {name: list(values) for name, values in found.items()}


def _constants(condition: Condition) -> Iterator[tuple[str, object]]:
    for atom in _atoms(condition):
        if isinstance(atom, Compare) and (simple := _simple(atom)) is not None:
            yield from ((simple[0], constant) for constant in simple[1])


def _simple(atom: Compare) -> tuple[str, list[object]] | None:
    """Give field and constants of a comparison of one string or number with constants, or None."""
    left, right = atom.left, atom.right
    if isinstance(left, Constant):
        left, right = right, left
    if not isinstance(left, Ref | Label) or (
        isinstance(left, Ref) and left.field.type not in ("string", "int")
    ):
        return None
    if atom.op == "in" and isinstance(right, Constants):
        if all(isinstance(item, Constant) for item in right.items):
            return name_of(left), [item.value for item in right.items if isinstance(item, Constant)]
        return None
    if not isinstance(right, Constant) or atom.op == "in":
        return None
    if isinstance(right.value, int):
        return name_of(left), [right.value - 1, right.value, right.value + 1]
    return (name_of(left), [right.value]) if atom.op in ("==", "!=") else None


def _atoms(node: Condition) -> Iterator[Condition]:
    match node:
        case Negation():
            yield from _atoms(node.of)
        case Both() | Either():
            yield from _atoms(node.left)
            yield from _atoms(node.right)
        case Choice():
            for part in (node.condition, node.yes, node.no):
                yield from _atoms(part)
        case Constant():
            return
        case _:
            yield node


def _holds(node: Condition, values: Mapping[object, object]) -> bool:
    match node:
        case Constant():
            return node.value is True
        case Negation():
            return not _holds(node.of, values)
        case Both():
            return _holds(node.left, values) and _holds(node.right, values)
        case Either():
            return _holds(node.left, values) or _holds(node.right, values)
        case Choice():
            return _holds(node.yes if _holds(node.condition, values) else node.no, values)
        case Threshold():
            bound = node.value if isinstance(node.value, tuple) else (node.value,)
            return _compared(node.op, values[name_of(Ref(node.field))], bound)
        case Compare() if (simple := _simple(node)) is not None:
            return _compared(*_sides(node, values[simple[0]]))
        case _:
            return values[node] is True


def _sides(node: Compare, value: object) -> tuple[str, object, Sequence[object]]:
    """Give operator, value and constants, the field on the left."""
    if isinstance(node.right, Constants):
        return "in", value, [item.value for item in node.right.items if isinstance(item, Constant)]
    if isinstance(node.left, Constant):
        flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(node.op, node.op)
        return flipped, value, [node.left.value]
    assert isinstance(node.right, Constant)
    return node.op, value, [node.right.value]


def _compared(op: str, value: object, constants: Sequence[object]) -> bool:
    if op in ("in", "=="):
        return value in constants
    if op == "!=":
        return value not in constants
    (bound,) = constants
    assert isinstance(value, int)
    assert isinstance(bound, int)
    return {"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[op]
