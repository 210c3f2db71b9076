"""The values that conditions see: of a session what does not change, of a request what it says, of counters now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, cast

from recgate.policy import Act
from recgate.providers import PolicyRequest
from recgate.sansio.frames import Request
from recgate.session import Session
from recgate_policy_cel.evaluation import name_of
from recgate_policy_cel.model import ZERO, Field, Nature
from recgate_policy_cel.tree import HasLabel, Label, Ref, Threshold

__all__ = ["act_value", "counted", "detail", "exceeds", "fixed"]


def fixed(leaves: Iterable[Ref | Label | HasLabel | Threshold], session: Session) -> dict[str, object]:
    """Give what these leaves are for the whole of a session, by their flat names; others are left out."""
    found: dict[str, object] = {}
    labels = session.target.labels
    for leaf in leaves:
        match leaf:
            case Label():
                found[name_of(leaf)] = labels.get(leaf.key, "")
            case HasLabel():
                found[name_of(leaf)] = leaf.key in labels
            case Ref() if leaf.field.nature is Nature.STATIC:
                found[name_of(leaf)] = _static(leaf.field, session)
            case _:
                pass
    return found


def _static(field: Field, session: Session) -> object:
    if field.root == "session":
        return session.connection.peer_host.strip("[]") if field.name == "source" else session.reason
    of = session.principal if field.root == "principal" else session.target
    value: object = getattr(of, field.name)
    return tuple(sorted(cast("frozenset[str]", value))) if isinstance(value, frozenset) else value


def act_value(field: Field, act: Act) -> object:
    """Give what one act says. Raises `KeyError` for what no act knows."""
    return _OF_ACT[field.name](act)


_OF_ACT: Final[Mapping[str, Callable[[Act], object]]] = {
    "verb": lambda act: act.verb,
    "objects": lambda act: act.objects,
    "tables": lambda act: act.tables,
    "columns_read": lambda act: act.columns_read,
    "columns_written": lambda act: act.columns_written,
    "functions": lambda act: act.functions,
    "has_where": lambda act: act.has_where,
    "has_limit": lambda act: act.has_limit,
    "opaque": lambda act: act.opaque,
    "path": lambda act: act.path,
    "direction": lambda act: act.direction,
}
_TYPES: Final[Mapping[str, type]] = {"string": str, "int": int, "bool": bool}


def detail(field: Field, request: Request) -> object:
    """Give what a protocol says of a request; its zero value where it says nothing, or something of another type."""
    if field.name == "kind":
        return request.kind
    if field.name == "text":
        return request.text
    value = request.details.get(field.name)
    return value if type(value) is _TYPES[field.type] else ZERO[field.type]


def counted(thresholds: Iterable[Threshold]) -> dict[str, tuple[int, ...]]:
    """Give the counters that brakes keep, and the values at which some of these comparisons may turn."""
    found: dict[str, set[int]] = {}
    for each in thresholds:
        name = _KEPT.get(each.field.name)
        if name is not None:
            numbers = each.value if isinstance(each.value, tuple) else (each.value,)
            turns = found.setdefault(name, set())
            turns.update(n for n in numbers if each.op in ("<", ">=", "==", "!=", "in"))
            turns.update(n + 1 for n in numbers if each.op in (">", "<=", "==", "!=", "in"))
    return {name: tuple(sorted(turns)) for name, turns in found.items()}


def exceeds(threshold: Threshold, request: PolicyRequest) -> bool:
    """Judge a counter as it is now."""
    value = _COUNTERS[threshold.field.name](request.session)
    match threshold.op, threshold.value:
        case "in", tuple() as numbers:
            return value in numbers
        case op, int() as number:
            return _COMPARE[op](value, number)
        case _:
            raise TypeError(threshold.op)


# What brakes call a counter that rules name. Others are at hand whenever a request comes.
_KEPT: Final[Mapping[str, str]] = {
    "bytes_out": "bytes",
    **{
        name: name
        for name in (
            "rows", "bytes", "statements", "rows_today", "bytes_today", "statements_today", "files_today",
        )
    },
}  # fmt: skip
_COMPARE: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


def _braked(session: Session, name: str) -> int:
    return session.brake.count(name) if session.brake is not None else 0


def _given(session: Session) -> int:
    return session.brake.count("bytes") if session.brake is not None else session.wire.data[1]


_COUNTERS: Final[Mapping[str, Callable[[Session], int]]] = {
    "requests": lambda session: session.requests,
    "denied": lambda session: session.denied_requests,
    "files": lambda session: session.files,
    "bytes_in": lambda session: session.wire.data[0],
    "bytes": _given,
    "bytes_out": _given,
    **{
        name: partial(_braked, name=name)
        for name in ("rows", "statements", "rows_today", "bytes_today", "statements_today", "files_today")
    },
    "seconds": lambda session: int(session.now() - session.started),
    "hour": lambda session: time.localtime(session.now()).tm_hour,
    "weekday": lambda session: time.localtime(session.now()).tm_wday + 1,
}
