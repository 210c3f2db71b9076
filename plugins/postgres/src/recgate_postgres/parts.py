"""One act while it is being read, and what its columns can refer to."""

from __future__ import annotations

from typing import Any, Final

from recgate.policy import Act
from recgate_postgres.hinges import Hinge, Hinged

__all__ = ["ANY", "MAX_NAMES", "Part", "Scope", "label", "quoted"]

ANY: Final = ""  # in a scope: what may be a column of any table there
MAX_NAMES: Final = (
    256  # of each sort in one act; an act of more is opaque, so that nobody hides one behind many
)


class Part:
    """An act that grows: sets as dicts, which keep their order."""

    __slots__ = (
        "functions",
        "hinges",
        "kind",
        "limit",
        "objects",
        "opaque",
        "read",
        "tables",
        "verb",
        "where",
        "written",
    )

    def __init__(self, verb: str, *, opaque: bool = False, kind: str = "") -> None:
        self.verb = verb
        self.kind = kind
        self.objects: dict[str, None] = {}
        self.tables: dict[str, None] = {}
        self.read: dict[str, None] = {}
        self.written: dict[str, None] = {}
        self.functions: dict[str, None] = {}
        self.where = self.limit = True
        self.opaque = opaque
        self.hinges: dict[Hinge, None] = {}  # what makes it opaque for those who do not know the catalog

    def merge(self, other: Part) -> None:
        """Take over what another part touches, but for what it is about."""
        self.tables.update(other.tables)
        self.read.update(other.read)
        self.written.update(other.written)
        self.functions.update(other.functions)
        self.hinges.update(other.hinges)
        self.opaque = self.opaque or other.opaque

    def act(self) -> Act:
        """Give the finished act."""
        fields = (self.objects, self.tables, self.read, self.written, self.functions)
        opaque = self.opaque or any(len(each) > MAX_NAMES for each in (*fields, self.hinges))
        objects, tables, read, written, functions = (tuple(each)[:MAX_NAMES] for each in fields)
        path = direction = ""
        if self.kind == "file":
            # The first word of its only object says whether it is a file; a program has no path.
            path = next((each[5:] for each in objects if each.startswith("file ")), "")
            direction = "upload" if self.verb == "WRITE" else "download"
        facts = (objects, tables, read, written, functions, self.where, self.limit)
        if self.hinges and not opaque:
            return Hinged(self.verb, *facts, True, self.kind, path, direction, tuple(self.hinges))
        return Act(self.verb, *facts, opaque, self.kind, path, direction)


class Scope:
    """What stands in FROM, by the names that columns are asked of it under; None for what is no table (a query, a
    function), `ANY` for a join with a name.

    `ctes` are the names that WITH has given, `parent` is the query around.
    """

    __slots__ = ("ctes", "items", "parent")

    def __init__(self, parent: Scope | None = None, ctes: frozenset[str] = frozenset()) -> None:
        self.parent = parent
        self.ctes = ctes
        self.items: dict[str, str | None] = {}

    def add(self, alias: str, table: str | None) -> None:
        """Note an item. Two of one name are one that is not known: they stand at different levels of a join."""
        self.items[alias] = table if self.items.get(alias, table) == table else None

    def find(self, alias: str) -> tuple[bool, str | None]:
        """Give whether an item of that name is in sight, and its table."""
        scope: Scope | None = self
        while scope is not None:
            if alias in scope.items:
                return True, scope.items[alias]
            scope = scope.parent
        return False, None

    def column(self, name: str) -> str:
        """Say whose column a bare name is: `table.name`, `*.name`, or nothing where no table is in sight."""
        tables: dict[str, None] = {}
        derived = False
        scope: Scope | None = self
        while scope is not None:
            for table in scope.items.values():
                if table:
                    tables[table] = None
                else:
                    derived = True
            scope = scope.parent
        if not tables:
            return ""
        return f"{'*' if derived or len(tables) > 1 else next(iter(tables))}.{quoted(name)}"


def quoted(name: str) -> str:
    """Write a name so that no other can be taken for it: in quotes where it has a dot or a quote in it."""
    return '"' + name.replace('"', '""') + '"' if "." in name or '"' in name else name


def label(relation: dict[str, Any]) -> str:
    """Write a RangeVar's name, with its schema if it was said."""
    schema = relation.get("schemaname")
    name = quoted(relation["relname"])
    return f"{quoted(schema)}.{name}" if schema else name
