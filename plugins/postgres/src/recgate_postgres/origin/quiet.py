"""Whether a statement can run nothing but the server's own functions, and none that changes what names mean.

A path that was asked for holds on behind such a statement, so most sessions ask once. Everything that a statement names
is looked at by name alone, in whatever schema: what somebody has made of that name anywhere is doubt.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from recgate_postgres.grammar import Json, syntax
from recgate_postgres.origin.model import Relation, Type
from recgate_postgres.origin.safe import safe
from recgate_postgres.origin.snapshot import Snapshot

__all__ = ["Quiet"]

MAX_NODES: Final = 20_000  # of one statement's tree
MAX_WITHIN: Final = 32  # views within views

_STATEMENTS: Final = frozenset(
    (
        "SelectStmt",
        "InsertStmt",
        "UpdateStmt",
        "DeleteStmt",
        "ExplainStmt",
        "PrepareStmt",
        "DeclareCursorStmt",
    )
)
_WRITES: Final = frozenset(("InsertStmt", "UpdateStmt", "DeleteStmt"))
# Nodes inside of those that make something, or write in another way than is looked at here.
_NEVER: Final = frozenset(("IntoClause", "MergeStmt", "CreateTableAsStmt", "ExecuteStmt", "RangeTableSample"))
_TABLES: Final = frozenset("rpmS")


class Quiet:
    """For one catalog."""

    __slots__ = ("_catalog", "_relations")

    def __init__(self, catalog: Snapshot) -> None:
        self._catalog = catalog
        self._relations: dict[int, bool] = {}

    def statement(self, tree: Json) -> bool:
        """Whether that is so of a statement."""
        return len(tree) == 1 and next(iter(tree)) in _STATEMENTS and self._tree(tree, 0)

    def _tree(self, tree: Json, within: int) -> bool:
        ctes: set[str] = set()
        tables: list[Json] = []
        written: list[Json] = []
        pending: list[tuple[str, Any]] = [("", tree)]
        seen = 0
        while pending:
            seen += 1
            kind, node = pending.pop()
            if seen > MAX_NODES or kind in _NEVER or kind == "intoClause":
                return False
            if isinstance(node, list):
                pending += [(kind, each) for each in cast("list[Any]", node)]
            elif isinstance(node, dict):
                body = cast("Json", node)
                if not self._node(kind, body):
                    return False
                if kind in ("RangeVar", "relation"):
                    tables.append(body)
                if kind == "CommonTableExpr":
                    ctes.add(body.get("ctename", ""))
                if kind in _WRITES:
                    written.append(body["relation"])
                pending += body.items()
        return all(self._readable(each, ctes, within) for each in tables) and all(
            map(self._writable, written)
        )

    def _node(self, kind: str, body: Json) -> bool:
        """Whether a node names only what is the server's own."""
        if kind in ("FuncCall", "funccall"):
            return self._function(_words(body.get("funcname", ())))
        if kind == "A_Expr":
            return not any(map(self._catalog.operator, (*_words(body.get("name", ())), "=", "<=", ">=")))
        if kind == "SubLink":
            return not any(map(self._catalog.operator, _words(body.get("operName", ()))))
        if kind == "SortBy":
            return not any(map(self._catalog.operator, _words(body.get("useOp", ()))))
        if kind in ("TypeName", "typeName"):
            return self._type(_words(body.get("names", ())))
        if kind == "ColumnRef":
            return not any(map(self._catalog.foreign, _words(body.get("fields", ()))))
        if kind == "A_Indirection":
            return not any(map(self._catalog.foreign, _words(body.get("indirection", ()))))
        return True

    def _function(self, names: list[str]) -> bool:
        if not names or self._catalog.foreign(names[-1]) or len(names) > 2:
            return False
        known = safe(names[-1])
        return known is not None and not known.effect and names[:-1] in ([], ["pg_catalog"])

    def _type(self, names: list[str]) -> bool:
        found = self._catalog.types_named(names[-1]) if names else ()
        return bool(found) and all(map(self._calm, found))

    def _calm(self, kind: Type) -> bool:
        """Whether no function of somebody's runs for a value of a type."""
        if kind.active or kind.kind not in "bcedp":
            return False
        base = self._catalog.type_of(kind.base) if kind.base else None
        return not kind.base or (base is not None and self._calm(base))

    def _readable(self, table: Json, ctes: set[str], within: int) -> bool:
        name = table.get("relname", "")
        found = self._catalog.relations_named(name)
        if not found:
            return name in ctes
        return all(self._relation(each, within) for each in found)

    def _relation(self, relation: Relation, within: int) -> bool:
        known = self._relations.get(relation.oid)
        if known is None:
            self._relations[relation.oid] = False  # until it is known: a view that is within itself never is
            known = self._relations[relation.oid] = self._looked(relation, within)
        return known

    def _looked(self, relation: Relation, within: int) -> bool:
        kinds = [self._catalog.type_of(each) for each in relation.types]
        if relation.guarded or not all(kind is not None and self._calm(kind) for kind in kinds):
            return False
        if relation.kind in _TABLES:
            return all(self._relation(each, within) for each in self._catalog.children(relation.oid))
        if relation.kind != "v" or within >= MAX_WITHIN:
            return False
        trees = syntax(relation.definition)
        return trees is not None and len(trees) == 1 and self._tree(trees[0]["stmt"], within + 1)

    def _writable(self, table: Json) -> bool:
        found = self._catalog.relations_named(table.get("relname", ""))
        return bool(found) and all(map(self._passive, found))

    def _passive(self, relation: Relation) -> bool:
        return not relation.active and all(map(self._passive, self._catalog.children(relation.oid)))


def _words(nodes: Iterable[Json]) -> list[str]:
    return [each["String"].get("sval", "") for each in nodes if "String" in each]
