"""A catalog as plain data, made of what a target answered to `queries.SURVEY`. Nothing in it changes any more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar, cast

from recgate.errors import RecgateError
from recgate_postgres.origin.model import Function, Relation, Type
from recgate_postgres.origin.queries import SECTIONS

__all__ = ["Snapshot", "UnreadableCatalog"]

OLDEST: Final = 13  # the oldest server whose catalog `queries` was written for

_Thing = TypeVar("_Thing", Relation, Type)


class UnreadableCatalog(RecgateError):
    """What a target said of its catalog makes no sense, or it is too old to be asked."""


class Snapshot:
    """What one database held at one moment: a `Catalog`."""

    def __init__(
        self,
        version: int,
        generation: int,
        relations: Iterable[Relation],
        functions: Iterable[Function],
        operators: Iterable[tuple[str, str, Function]] = (),
        types: Iterable[Type] = (),
    ) -> None:
        """Make one of its parts; `operators` holds schema, name and function of each that is not built in."""
        self.version = version
        self.generation = generation
        self._relations, self._relations_of = _both(relations)
        self._types, self._types_of = _both(types)
        self._functions = _grouped(((each.schema, each.name), each) for each in functions)
        self._operators = _grouped(((schema, name), each) for schema, name, each in operators)
        self._foreign = {each.name for same in self._functions.values() for each in same if not each.built_in}
        self._named = _grouped((each.name, each) for each in self._relations_of.values())
        self._types_named = _grouped((each.name, each) for each in self._types_of.values())
        self._operator_names = {name for _, name in self._operators}
        self._children = _grouped(
            (parent, each) for each in self._relations_of.values() for parent in each.parents
        )

    @classmethod
    def of(cls, results: Sequence[Sequence[str]]) -> Snapshot:
        """Read the answers to `queries.SECTIONS`, each a sequence of rows, each row the text of its one column.

        Raises:
            UnreadableCatalog: they are not what was asked for, or the server is older than 13.
        """
        if len(results) != len(SECTIONS):
            raise UnreadableCatalog(f"{len(results)} answers to {len(SECTIONS)} questions")
        try:
            return cls._of(results)
        except (ValueError, TypeError, IndexError, KeyError, RecursionError) as exc:
            # Not its words: they may quote what somebody put into a name.
            raise UnreadableCatalog(
                f"an answer that is not what was asked for ({type(exc).__name__})"
            ) from None

    @classmethod
    def _of(cls, results: Sequence[Sequence[str]]) -> Snapshot:
        server, relations, functions, operators, types = (
            [cast("list[object]", json.loads(row)) for row in rows] for rows in results
        )
        version = _number(server[0][0]) // 10_000
        if version < OLDEST:
            raise UnreadableCatalog(f"PostgreSQL {version}: only {OLDEST} and later can be asked")
        known = {each.oid: each for each in map(_function, functions)}
        return cls(
            version,
            _generation(results),
            map(_relation, relations),
            known.values(),
            ((_text(row[0]), _text(row[1]), known[_number(row[2])]) for row in operators),
            map(_type, types),
        )

    def relation(self, schema: str, name: str) -> Relation | None:
        """Give a relation, or None."""
        return self._relations.get((schema, name))

    def relation_of(self, oid: int) -> Relation | None:
        """Give a relation by its object id, or None."""
        return self._relations_of.get(oid)

    def children(self, oid: int) -> Sequence[Relation]:
        """Give the relations that inherit directly from one."""
        return self._children.get(oid, ())

    def functions(self, schema: str, name: str) -> Sequence[Function]:
        """Give every function of that name, whatever its arguments."""
        return self._functions.get((schema, name), ())

    def operators(self, schema: str, name: str) -> Sequence[Function]:
        """Give the functions behind the operators of that name that are not built in."""
        return self._operators.get((schema, name), ())

    def operator(self, name: str) -> bool:
        """Whether any schema has an operator of that name that is not the server's own."""
        return name in self._operator_names

    def foreign(self, name: str) -> bool:
        """Whether any schema has a function of that name that is not the server's own."""
        return name in self._foreign

    def relations_named(self, name: str) -> Sequence[Relation]:
        """Give the relations of that name in all schemas."""
        return self._named.get(name, ())

    def types_named(self, name: str) -> Sequence[Type]:
        """Give the types of that name in all schemas."""
        return self._types_named.get(name, ())

    def type_named(self, schema: str, name: str) -> Type | None:
        """Give a type, or None."""
        return self._types.get((schema, name))

    def type_of(self, oid: int) -> Type | None:
        """Give a type by its object id, or None."""
        return self._types_of.get(oid)


def _both(things: Iterable[_Thing]) -> tuple[Mapping[tuple[str, str], _Thing], Mapping[int, _Thing]]:
    numbered = {each.oid: each for each in things}
    return {(each.schema, each.name): each for each in numbered.values()}, numbered


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _grouped(pairs: Iterable[tuple[_Key, _Value]]) -> dict[_Key, tuple[_Value, ...]]:
    found: dict[_Key, list[_Value]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def _generation(results: Sequence[Sequence[str]]) -> int:
    """Number a catalog by what it holds: one that was read again and has not changed keeps its number."""
    digest = hashlib.sha256()
    for rows in results:
        digest.update(b"%d\0" % len(rows))
        for row in rows:
            digest.update(row.encode("utf-8", "surrogatepass") + b"\0")
    return int.from_bytes(digest.digest()[:8])


def _relation(row: list[object]) -> Relation:
    oid, schema, name, kind, columns, definition, parents, active, generated, guarded = row
    found = _rows(columns)
    return Relation(
        _number(oid),
        _text(schema),
        _text(name),
        _text(kind),
        tuple(_text(each[0]) for each in found),
        tuple(_number(each[1]) for each in found),
        tuple(_number(each[2]) for each in found),
        _text(definition or ""),
        tuple(map(_number, cast("list[object]", parents or ()))),
        _truth(active),
        tuple((_text(each[0]), _text(each[1])) for each in _rows(generated)),
        _truth(guarded),
    )


def _function(row: list[object]) -> Function:
    oid, schema, name, kind, language, built_in, returns_set, definition = row
    return Function(
        _number(oid),
        _text(schema),
        _text(name),
        _text(kind),
        _text(language),
        _truth(built_in),
        _truth(returns_set),
        _text(definition or ""),
    )


def _type(row: list[object]) -> Type:
    oid, schema, name, kind, relation, element, base, active = row
    return Type(
        _number(oid),
        _text(schema),
        _text(name),
        _text(kind),
        _number(relation),
        _number(element),
        _number(base),
        _truth(active),
    )


def _rows(value: object) -> list[list[object]]:
    return cast("list[list[object]]", value or [])


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
