"""What a text does to the meaning of names, as far as its form says: whether a path that was asked for still holds.

Whatever is not known to leave the search path, the role and the temporary objects alone may have changed them: a
function may call `set_config`, a trigger may, a DO block may. So the default is `RUNS`, which is doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, cast

from recgate_postgres.grammar import Json, syntax

__all__ = ["Effect", "Step", "alters", "steps_of"]

MAX_CACHED: Final = 1_024
MAX_CACHED_TEXT: Final = 16_384  # characters
MAX_DEPTH: Final = 400  # of a tree that is looked through

# What decides where names are looked up. A role does because of "$user", and because schemas that it may not use are
# left out.
_TURNING: Final = frozenset(("search_path", "role", "session_authorization"))

_BEGINS: Final = frozenset(
    ("TRANS_STMT_BEGIN", "TRANS_STMT_START", "TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE")
)
_ASIDE: Final = frozenset(
    (
        "CheckPointStmt",
        "ClosePortalStmt",
        "ConstraintsSetStmt",
        "DeallocateStmt",
        "ListenStmt",
        "LockStmt",
        "NotifyStmt",
        "UnlistenStmt",
        "VariableShowStmt",
    )
)


# What neither creates nor drops, by itself. A function that it calls may: that is seen when the catalog is read again.
_LEAVES: Final = frozenset(
    (
        "CallStmt",
        "CommentStmt",
        "CopyStmt",
        "DeclareCursorStmt",
        "DeleteStmt",
        "ExecuteStmt",
        "FetchStmt",
        "InsertStmt",
        "MergeStmt",
        "PrepareStmt",
        "SelectStmt",
        "TruncateStmt",
        "UpdateStmt",
        "VacuumStmt",
    )
)


_WRITES: Final = frozenset(("CopyStmt", "DeleteStmt", "InsertStmt", "MergeStmt", "UpdateStmt"))


class Effect(Enum):
    """Of one statement."""

    ASIDE = "aside"  # reads nothing, and leaves names what they are
    TURNS = "turns"  # reads nothing, and changes where names are looked up
    ENDS = (
        "ends"  # a transaction, or a part of one: what was SET in it may be undone, or not be local any more
    )
    TEMPORARY = "temporary"  # makes something that only this session sees
    RUNS = "runs"  # everything else


class Step:
    """One statement: its effect and its tree."""

    __slots__ = ("alters", "effect", "tree", "written")

    def __init__(self, effect: Effect, tree: Json) -> None:
        self.effect = effect
        self.tree = tree
        self.written = tuple(_written(tree, 0)) if effect is Effect.RUNS else ()
        self.alters = _alters(effect, tree)


def steps_of(text: str) -> Sequence[Step]:
    """Give a text's statements. One that does not parse is one statement that may do anything."""
    return _cached(text) if len(text) <= MAX_CACHED_TEXT else _steps(text)


def alters(step: Step) -> bool:
    """Whether a statement may create, alter or drop something that names mean, by its form."""
    return step.alters


def _alters(effect: Effect, tree: Json) -> bool:
    kind = next(iter(tree), "")
    if effect is not Effect.RUNS or kind not in _LEAVES or "intoClause" in tree[kind]:
        return effect is Effect.RUNS
    return any(name.startswith("pg_") for name in _written(tree, 0))


def _written(tree: object, depth: int) -> Iterator[str]:
    """Give the bare names of relations that a statement writes to: a superuser may write to the catalog itself."""
    if depth > MAX_DEPTH:
        yield "pg_"  # nobody knows
    elif isinstance(tree, list):
        for each in cast("list[object]", tree):
            yield from _written(each, depth + 1)
    elif isinstance(tree, dict):
        for kind, body in cast("Json", tree).items():
            if kind in _WRITES:
                yield str(body.get("relation", {}).get("relname", ""))
            yield from _written(body, depth + 1)


def _steps(text: str) -> Sequence[Step]:
    trees = syntax(text)
    if trees is None:
        return _UNREADABLE
    found: list[Step] = []
    for each in trees:
        tree: Json = each.get("stmt", {})
        found.append(Step(_effect(tree), tree))
    return tuple(found)


_cached: Final = lru_cache(MAX_CACHED)(_steps)


_UNREADABLE: Final = (Step(Effect.RUNS, {}),)


def _effect(tree: Json) -> Effect:
    if len(tree) != 1:
        return Effect.RUNS
    ((kind, body),) = tree.items()
    if kind in _ASIDE:
        return Effect.ASIDE
    if kind == "TransactionStmt":
        return Effect.ASIDE if body.get("kind") in _BEGINS else Effect.ENDS
    if kind == "VariableSetStmt":
        everything = body.get("kind") == "VAR_RESET_ALL"
        return Effect.TURNS if everything or body.get("name") in _TURNING else Effect.ASIDE
    if kind == "DiscardStmt":
        return Effect.TURNS
    if kind == "CreateStmt" and body["relation"].get("relpersistence") == "t":
        return Effect.TEMPORARY
    if kind == "CreateTableAsStmt" and body["into"]["rel"].get("relpersistence") == "t":
        return Effect.TEMPORARY
    return Effect.RUNS
