"""What the functions do that acts call, by the catalog: their bodies are acts of the request as well.

Only bodies in SQL can be read. Where several functions of a name may be meant, all of them are read; what cannot be, or
is not there, leaves the act that calls it opaque. It is not asked which arguments a function is called with.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from recgate.policy import Act
from recgate_postgres.acts import OPAQUE, read_function
from recgate_postgres.builtin import functions, volatile
from recgate_postgres.grammar import Json, syntax
from recgate_postgres.hinges import Hinge, Hinged, told
from recgate_postgres.origin.calling import path_of
from recgate_postgres.origin.model import Function, Type, Untraceable
from recgate_postgres.origin.resolving import relations, resolved, words
from recgate_postgres.origin.snapshot import Snapshot

__all__ = ["MAX_FOLLOWED", "Following"]

MAX_FOLLOWED: Final = 64  # functions that one request reaches, each with every path that it is called under
MAX_ACTS: Final = 2_048  # of one request, with those of its functions
MAX_KNOWN: Final = 4_096
MAX_WITHIN: Final = 16  # types within types
_UNSAID: Final = ("\0",)
_ATOMIC: Final = ("pg_catalog",)  # what its body names is written in full
# Functions of extensions: nobody but a superuser makes one. An operator's computes; what others do, nobody can read.
_NATIVE: Final = frozenset(("c", "internal"))
_TYPES: Final = frozenset("bcedp")  # of a range's, functions may be somebody's

Path: TypeAlias = "tuple[str, ...] | None"


class _Doubt(Exception):
    """Somebody's function is called, and what it does cannot be read."""


class Following:
    """For one catalog."""

    __slots__ = ("_catalog", "_known")

    def __init__(self, catalog: Snapshot) -> None:
        self._catalog = catalog
        self._known: dict[tuple[int, Path], tuple[tuple[Act, ...], Path]] = {}

    def resolved(self, acts: Sequence[Act], path: Sequence[str] | None) -> Sequence[Act]:
        """Give the acts of a request, and those of all functions that it calls, with both forms of every name."""
        found: dict[Act, None] = {}
        seen: set[tuple[int, Path]] = set()
        certain = path is not None  # else what the catalog says may not be so any more
        pending: deque[tuple[Act, Path]] = deque((act, None if path is None else tuple(path)) for act in acts)
        while pending:
            act, where = pending.popleft()
            opaque = act.opaque and not isinstance(act, Hinged)
            try:
                if isinstance(act, Hinged) and not certain:
                    raise _Doubt
                for function in self._called(act, where):
                    if (function.oid, where) not in seen:
                        if len(seen) >= MAX_FOLLOWED:
                            raise _Doubt
                        seen.add((function.oid, where))
                        body, path_there = self._body(function, where)
                        pending.extend((each, path_there) for each in body)
            except _Doubt:
                opaque = True
            found.update(dict.fromkeys(resolved((told(act, opaque=opaque),), self._catalog, where)))
            if len(found) > MAX_ACTS:
                return (*acts, *OPAQUE)
        return tuple(found)

    def _called(self, act: Act, path: Path) -> Iterator[Function]:
        """Give the functions in SQL that an act calls. Raises `_Doubt` if it may call another that nobody knows."""
        for hinge in act.hinges if isinstance(act, Hinged) else ():
            yield from self._behind(hinge, path)
        for each in act.functions:
            if each in functions() and self._catalog.foreign(each):
                yield from self._overloads(each, path)
        for each in act.columns_read:
            name = words(each)
            if name and self._catalog.foreign(name[-1]) and not self._column(act, name, path):
                yield from self._functions((name[-1],), path)

    def _behind(self, hinge: Hinge, path: Path) -> Iterable[Function]:
        sort, name = hinge
        if sort == "function":
            return self._functions(name, path)
        if sort == "operator":
            return self._operators(name, path)
        self._types(name, path)
        return ()

    def _schemas(self, name: tuple[str, ...], path: Path) -> Sequence[str]:
        if len(name) > 1:
            return name[:-1]
        if path is None:
            raise _Doubt
        return path if "pg_catalog" in path else ("pg_catalog", *path)

    def _functions(self, name: tuple[str, ...], path: Path) -> Iterator[Function]:
        schemas = self._schemas(name, path)
        known = [each for schema in schemas for each in self._catalog.functions(schema, name[-1])]
        # `mood(x)` is a cast where there is a type of that name.
        if not known or not all(map(self._calm, self._catalog.types_named(name[-1]))):
            raise _Doubt
        for each in known:
            if each.language != "sql" or not each.definition:
                raise _Doubt
            yield each

    def _overloads(self, name: str, path: Path) -> Iterator[Function]:
        """Give what somebody has made of a name that the server has built in."""
        for schema in self._schemas((name,), path):
            for each in self._catalog.functions(schema, name):
                if each.language == "sql" and each.definition:
                    yield each
                elif not each.built_in and each.language not in _NATIVE:
                    raise _Doubt

    def _operators(self, name: tuple[str, ...], path: Path) -> Iterator[Function]:
        known = [
            each for schema in self._schemas(name, path) for each in self._catalog.operators(schema, name[-1])
        ]
        if not known:
            raise _Doubt
        for each in known:
            if each.language == "sql" and each.definition:
                yield each
            elif each.language not in _NATIVE or (each.built_in and each.name in volatile()):
                raise _Doubt

    def _types(self, name: tuple[str, ...], path: Path) -> None:
        known = (
            self._catalog.types_named(name[0])
            if len(name) == 1
            else [each for each in (self._catalog.type_named(*name),) if each is not None]
        )
        # A session's own types are in nobody's catalog, and go before others of their name.
        own = path is None or any(not schema or schema.startswith("pg_temp") for schema in path)
        if not known or (own and len(name) == 1) or not all(map(self._calm, known)):
            raise _Doubt

    def _calm(self, kind: Type, within: int = 0) -> bool:
        """Whether no function of somebody's runs for a value of a type."""
        if kind.active or kind.kind not in _TYPES or within > MAX_WITHIN:
            return False
        row = self._catalog.relation_of(kind.relation) if kind.relation else None
        inner = [*filter(None, (kind.base, kind.element)), *(row.types if row is not None else ())]
        known = [self._catalog.type_of(each) for each in inner]
        return all(each is not None and self._calm(each, within + 1) for each in known)

    def _column(self, act: Act, name: list[str], path: Path) -> bool:
        """Whether a name behind a dot is a column: else it may be a function that has the row as argument."""
        if name[-2:-1] in ([], ["*"]):
            known = [each for table in act.tables for each in relations(words(table), self._catalog, path)]
            return any(name[-1] in each.columns for each in known)
        known = relations(name[:-1], self._catalog, path)
        return bool(known) and all(name[-1] in each.columns for each in known)

    def _body(self, function: Function, path: Path) -> tuple[tuple[Act, ...], Path]:
        """Give what a function does, and the path that the names in it are looked up in."""
        known = self._known.get((function.oid, path))
        if known is None:
            reading = read_function(function.definition)
            acts = reading.acts if reading.holds_for(self._catalog.version) else OPAQUE
            known = acts, _path_in(function.definition, path)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[function.oid, path] = known
        return known


def _path_in(definition: str, path: Path) -> Path:
    """Give the path of a function's body, or None where that is not certain."""
    parsed = syntax(definition)
    if parsed is None:
        return None
    body: Json = parsed[0]["stmt"]["CreateFunctionStmt"]
    if "sql_body" in body:
        return _ATOMIC
    try:
        own = path_of(_UNSAID, body)
    except Untraceable:
        return None
    if own != _UNSAID:
        return own if path is None else path_of(path, body)
    options = {each["DefElem"]["defname"] for each in body.get("options", ())}
    # As another role, what `$user` stands for in the path is another schema.
    return None if options & {"security", "set"} else path
