"""Say of each name in an act which schema it is in, by the catalog and the path that the statement will run with.

Both forms are listed, `customers` and `public.customers`, so that rules of either match. Where it is not certain which
one is meant, all that there are of that name are listed: a rule that forbids one of them matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from recgate.policy import Act
from recgate_postgres.origin.model import Relation
from recgate_postgres.origin.snapshot import Snapshot
from recgate_postgres.parts import quoted

__all__ = ["relations", "resolved", "words"]

MAX_NAMES: Final = 1_024  # of each sort in one act; an act of more is opaque
# What an object is that a schema holds, of those that the catalog knows.
_RELATIONS: Final = frozenset(("table", "view", "materialized view", "foreign table", "sequence"))


def resolved(acts: Sequence[Act], catalog: Snapshot | None, path: Sequence[str] | None) -> Sequence[Act]:
    """Give the acts with both forms of every name. Without a catalog each act that names a relation is opaque."""
    return tuple(_resolved(act, catalog, path) for act in acts)


def _resolved(act: Act, catalog: Snapshot | None, path: Sequence[str] | None) -> Act:
    if catalog is None:
        named = act.tables or any(each.rpartition(" ")[0] in _RELATIONS for each in act.objects)
        return replace(act, opaque=True) if named else act
    tables = _each(act.tables, catalog, path, 0)
    read = _each(act.columns_read, catalog, path, 1)
    written = _each(act.columns_written, catalog, path, 1)
    objects: dict[str, None] = {}
    for each in act.objects:
        objects[each] = None
        kind, _, name = each.rpartition(" ")
        if kind in _RELATIONS:
            objects.update((f"{kind} {other}", None) for other in _forms(name, catalog, path, 0))
    fields = (tuple(objects), tables, read, written)
    opaque = act.opaque or any(len(each) > MAX_NAMES for each in fields)
    kept = [each[:MAX_NAMES] for each in fields]
    return replace(
        act, objects=kept[0], tables=kept[1], columns_read=kept[2], columns_written=kept[3], opaque=opaque
    )


def _each(
    names: Iterable[str], catalog: Snapshot, path: Sequence[str] | None, behind: int
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in names:
        found[name] = None
        found.update(dict.fromkeys(_forms(name, catalog, path, behind)))
    return tuple(found)


def _forms(name: str, catalog: Snapshot, path: Sequence[str] | None, behind: int) -> list[str]:
    """Give the other forms of a name that has `behind` words, a column's, after the relation's."""
    parts = words(name)
    rest = parts[len(parts) - behind :]
    relation = parts[: len(parts) - behind]
    if not relation or relation[-1] == "*":
        return []
    if len(relation) == 1:
        return [_joined((schema, *relation, *rest)) for schema in _schemas(relation[0], catalog, path)]
    schema, bare = relation[-2:]
    if path is not None and schema in _schemas(bare, catalog, path):
        return [_joined((bare, *rest))]
    return []


def _schemas(name: str, catalog: Snapshot, path: Sequence[str] | None) -> list[str]:
    """Give the schemas in which a bare name may be."""
    if path is None:
        return [each.schema for each in catalog.relations_named(name)]
    return [schema for schema in path if catalog.relation(schema, name) is not None][:1]


def relations(name: Sequence[str], catalog: Snapshot, path: Sequence[str] | None) -> list[Relation]:
    """Give every relation that a name of one or two words may mean."""
    if not name:
        return []
    schemas = name[-2:-1] if len(name) > 1 else _schemas(name[-1], catalog, path)
    found = (catalog.relation(schema, name[-1]) for schema in schemas)
    return [each for each in found if each is not None]


def _joined(parts: Iterable[str]) -> str:
    return ".".join(word if word == "*" else quoted(word) for word in parts)


def words(name: str) -> list[str]:
    """Take apart what `parts.quoted` and dots have joined; nothing where they did not."""
    found: list[str] = []
    at = 0
    while at <= len(name):
        if name[at : at + 1] == '"':
            end = at + 1
            while (end := name.find('"', end)) >= 0 and name[end : end + 2] == '""':
                end += 2
            if end < 0:
                return []
            found.append(name[at + 1 : end].replace('""', '"'))
            at = end + 2
        else:
            end = name.find(".", at)
            end = len(name) if end < 0 else end
            found.append(name[at:end])
            at = end + 1
    return found
