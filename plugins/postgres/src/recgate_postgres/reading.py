"""Read a statement's tree: which relations, columns and functions it speaks of, in which of its acts.

A query is an act; so is every query in WITH, and every outermost query inside a statement that is no query itself,
so that a read is found under SELECT wherever it stands. What a part touches, its whole touches too, but for WITH's
INSERT, UPDATE, DELETE and MERGE, which stand for themselves.

Where a name could mean several things, all that is said is what is known for certain: `*.email` where it may be a
column of either of two tables, never one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from recgate_postgres import calls
from recgate_postgres.builtin import INFORMATION, functions, operators, types
from recgate_postgres.grammar import Json, messages, syntax
from recgate_postgres.narrowing import bounds, narrows
from recgate_postgres.parts import ANY, Part, Scope, label, quoted

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["Handler", "Reader", "only"]

MAX_NESTED: Final = 4  # texts inside of texts: a function's body that calls `query_to_xml('…')`

Handler: TypeAlias = "Callable[[Reader, Json, Scope], Part]"
# What a SELECT holds that is read with more care than by walking over it.
_APART: Final = frozenset(
    ("withClause", "fromClause", "larg", "rarg", "lockingClause", "intoClause", "sortClause", "groupClause")
)
# Since PostgreSQL 16 and 17 these are no calls of functions, which is what older servers take them for.
_GRAMMAR: Final = {
    "JsonObjectConstructor": "json_object",
    "JsonArrayConstructor": "json_array",
    "JsonArrayQueryConstructor": "json_array",
    "JsonParseExpr": "json",
    "JsonScalarExpr": "json_scalar",
    "JsonSerializeExpr": "json_serialize",
    "JsonFuncExpr": "json_value",
    "JsonObjectAgg": "json_objectagg",
    "JsonArrayAgg": "json_arrayagg",
    "MergeSupportFunc": "merge_action",
}
# A text as it is written, NULL, and a parameter without a type are not cast: they are read as of the type itself.
_READ_AS_CAST: Final = frozenset(("A_Const", "ParamRef"))
_NO_ROW: Final = frozenset(("A_Const", "ParamRef", "TypeCast", "A_Expr", "BoolExpr"))
_CALLED_BY_NAME: Final = frozenset(("AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_OP_ALL"))


class _Source:
    """A text, and its statements as protobuf messages, which are made when one of them is asked for."""

    __slots__ = ("_messages", "_text", "index")

    def __init__(self, text: str) -> None:
        self._text = text
        self._messages: list[Any] | None = None
        self.index = 0

    def message(self) -> Message | None:
        """Give the statement that is being read."""
        if self._messages is None:
            self._messages = messages(self._text) or []
        return self._messages[self.index].stmt if self.index < len(self._messages) else None


class Reader:
    """Reads one text. `parts` are its acts in order; `runs` are names whose meaning runs besides (EXECUTE, FETCH)."""

    def __init__(
        self, statements: Mapping[str, Handler], plain: Callable[[Reader, str, Json, Message], Part]
    ) -> None:
        """`statements` read what is no SELECT by its kind, and `plain` what is in neither."""
        self.parts: list[Part] = []
        self.runs: list[tuple[str, str]] = []  # ("statement" or "cursor", name)
        self.made: list[tuple[str, str, list[Part]]] = []  # likewise, with what it means
        self.versions: set[int] = set()  # a name was used that the first or the last version alone has
        self._statements = statements
        self._plain = plain
        self._source = _Source("")
        self._depth = 0
        self._at: dict[str, Callable[[Any, Scope, Part], None]] = {
            "ColumnRef": self._column,
            "FuncCall": self.call,
            "A_Expr": self._expression,
            "A_Const": lambda node, scope, part: None,
            "A_Indirection": self._field,
            "SubLink": self._sublink,
            "SelectStmt": self.subselect,
            "SortBy": self._sorted,
            "TypeCast": self._cast,
            "RangeTableSample": self._sample,
            **dict.fromkeys(_GRAMMAR, self._constructor),
        }
        for kind in ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"):
            self._at[kind] = self._inner(kind)

    # -- statements ----------------------------------------------------------------------------------------------

    def open(self, verb: str, *, kind: str = "", opaque: bool = False) -> Part:
        """Begin an act."""
        part = Part(verb, kind=kind, opaque=opaque)
        self.parts.append(part)
        return part

    def statement(self, node: Json, scope: Scope | None = None) -> Part:
        """Read one statement, as `{KIND: fields}`."""
        kind, body = only(node)
        scope = scope or Scope()
        if kind == "SelectStmt":
            return self._select_statement(body, scope)
        read = self._statements.get(kind)
        if read is not None:
            return read(self, body, scope)
        return self.plain(kind, body, self._source.message())

    def plain(self, kind: str, body: Json, message: Message | None) -> Part:
        """Read a statement that has no reader of its own. Without its own message it is opaque."""
        if message is not None:
            field = message.WhichOneof("node")
            if field is not None and getattr(message, field).DESCRIPTOR.name == kind:
                return self._plain(self, kind, body, message)
        return self.open(kind.removesuffix("Stmt").upper(), opaque=True)

    def text(self, text: str, part: Part) -> None:
        """Read a text, also one inside of another. `part` is what is opaque if it cannot be read."""
        parsed = syntax(text) if self._depth < MAX_NESTED else None
        if parsed is None:
            part.opaque = True
            return
        around, self._source = self._source, _Source(text)
        self._depth += 1
        for index, each in enumerate(parsed):
            self._source.index = index
            if each.get("stmt"):
                self.statement(each["stmt"])
        self._depth -= 1
        self._source = around

    def _inner(self, kind: str) -> Callable[[Any, Scope, Part], None]:
        def read(body: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
            self.statement({kind: body}, scope)

        return read

    # -- queries -------------------------------------------------------------------------------------------------

    def _select_statement(self, body: Json, scope: Scope) -> Part:
        leftmost = body
        while "larg" in leftmost:
            leftmost = leftmost["larg"]
        part = self.open("SELECT")
        if "intoClause" in leftmost:
            made = self.open("CREATE")
            name = label(leftmost["intoClause"]["rel"])
            made.objects[f"table {name}"] = made.tables[name] = None
        self.select(body, part, scope, whole=True)
        return part

    def subselect(self, body: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        """Read a query inside of something: an act of its own unless that is a query too."""
        if part.verb == "SELECT":
            self.select(body, part, scope, whole=False)
        else:
            child = self.open("SELECT")
            self.select(body, child, scope, whole=True)
            part.merge(child)

    def select(self, body: Json, part: Part, parent: Scope, *, whole: bool) -> None:
        """Read a query into `part`. `whole` says that its WHERE and LIMIT are the act's."""
        scope = Scope(parent, self.with_clause(body, part, parent))
        if "larg" in body:
            limit = part.limit
            inner = Scope(parent, scope.ctes)
            self.select(body["larg"], part, inner, whole=whole)
            self.select(body["rarg"], part, inner, whole=whole)
            if whole and bounds(body.get("limitCount")):
                part.limit = limit
            for field in ("limitCount", "limitOffset"):
                self.walk(body.get(field, {}), scope, part)
            return
        for item in body.get("fromClause", ()):
            self.source(item, scope, part)
        if whole and "fromClause" in body:
            part.where = part.where and narrows(body.get("whereClause"))
            part.limit = part.limit and bounds(body.get("limitCount"))
        for field, value in body.items():
            if field not in _APART and value.__class__ in (dict, list):
                self.walk(value, scope, part)
        self._named_outputs(body, scope, part)

    def _named_outputs(self, body: Json, scope: Scope, part: Part) -> None:
        """Read ORDER BY and GROUP BY, whose names may be those that the query gives its results."""
        outputs = {
            each["ResTarget"].get("name") for each in body.get("targetList", ()) if "ResTarget" in each
        }
        for item in body.get("sortClause", ()):
            name = _bare(item.get("SortBy", {}).get("node", {}))
            if name not in outputs or name is None:
                self.walk(item, scope, part)
        for item in body.get("groupClause", ()):
            name = _bare(item)
            if name not in outputs or name is None:
                self.walk(item, scope, part)
            elif scope.column(name):
                part.read[f"*.{quoted(name)}"] = (
                    None  # a column of that name goes first, and there may be none
                )

    def with_clause(self, body: Json, part: Part, parent: Scope) -> frozenset[str]:
        """Read WITH, each query of it as an act; gives the names that are then in sight."""
        clause = body.get("withClause")
        if clause is None:
            return parent.ctes
        entries: list[Json] = [each["CommonTableExpr"] for each in clause["ctes"]]
        names = frozenset(each["ctename"] for each in entries)
        known = parent.ctes | names if clause.get("recursive") else parent.ctes
        for each in entries:
            kind, query = only(each["ctequery"])
            if kind == "SelectStmt":
                child = self.open("SELECT")
                self.select(query, child, Scope(parent, known), whole=True)
                part.merge(child)
            else:
                self.statement(each["ctequery"], Scope(parent, known))
            known |= {each["ctename"]}
        return parent.ctes | names

    # -- FROM ----------------------------------------------------------------------------------------------------

    def source(self, item: Json, scope: Scope, part: Part) -> None:
        """Read one item of FROM into `scope`."""
        kind, body = only(item)
        alias: Json = body.get("alias") or {}
        name: str = alias.get("aliasname", "")
        if kind == "RangeVar":
            self._relation(body, alias, scope, part)
        elif kind == "JoinExpr":
            self._join(body, scope, part)
        elif kind == "RangeSubselect":
            around = scope if body.get("lateral") else Scope(scope.parent, scope.ctes)
            self.subselect(only(body["subquery"])[1], around, part)
            scope.add(name, None)
        elif kind == "RangeTableSample":
            self.source(body["relation"], scope, part)
            self._sample(body, scope, part)
        else:
            self.walk(body, scope, part)
            scope.add(name or _function_name(body), None)

    def _relation(self, body: Json, alias: Json, scope: Scope, part: Part) -> None:
        name: str = body["relname"]
        if "schemaname" not in body and name in scope.ctes:
            scope.add(alias.get("aliasname", name), None)
            return
        table = label(body)
        part.tables[table] = None
        if alias.get("colnames"):
            # Its columns go by other names here: which, only the catalog knows.
            part.read[f"{table}.*"] = None
            scope.add(alias["aliasname"], None)
        else:
            scope.add(alias.get("aliasname", name), table)

    def _join(self, body: Json, scope: Scope, part: Part) -> None:
        inner = Scope(scope.parent, scope.ctes)
        inner.items = dict(scope.items)  # LATERAL sees what stands to its left
        before = set(inner.items)
        self.source(body["larg"], inner, part)
        self.source(body["rarg"], inner, part)
        joined = {name: table for name, table in inner.items.items() if name not in before}
        here = Scope(scope.parent, scope.ctes)
        here.items = joined
        for each in body.get("usingClause", ()):
            self._bare_column(each["String"]["sval"], here, part)
        if body.get("isNatural"):
            self._all(joined, part)
        if "quals" in body:
            self.walk(body["quals"], inner, part)
        alias = body.get("alias")
        if alias is not None:
            # Hides what is joined: `j` is a row of all of them, `j.email` a column of one.
            self._all(joined, part)
            joined = {f"{name} in {alias['aliasname']}": table for name, table in joined.items()}
            scope.add(alias["aliasname"], ANY)
        for name, table in joined.items():
            scope.add(name, table)

    def _all(self, items: Mapping[str, str | None], part: Part) -> None:
        part.read.update((f"{table}.*", None) for table in items.values() if table)

    def _sample(self, body: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        self.function_name([each["String"]["sval"] for each in body["method"]], part)
        self.walk(body.get("args", []), scope, part)

    # -- expressions ---------------------------------------------------------------------------------------------

    def walk(self, value: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        """Read whatever stands in an expression, or anywhere that is not read with more care."""
        if value.__class__ is list:
            for each in value:
                if each.__class__ is dict or each.__class__ is list:
                    self.walk(each, scope, part)
            return
        if "relname" in value:
            part.tables[label(value)] = None
            return
        handlers = self._at
        for field, child in value.items():
            if child.__class__ is dict or child.__class__ is list:
                handler = handlers.get(field)
                if handler is not None:
                    handler(child, scope, part)
                else:
                    self.walk(child, scope, part)

    def _column(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        fields: list[Json] = node["fields"]
        names = [each["String"]["sval"] for each in fields if "String" in each]
        if len(names) == len(fields):
            self._named_column(names, scope, part)
        elif not names:
            self._all(scope.items, part)
        elif len(names) == 1:
            self._whole_row(names[0], scope, part)
        else:
            part.read[f"{quoted(names[-2])}.{quoted(names[-1])}.*"] = None

    def _named_column(self, names: list[str], scope: Scope, part: Part) -> None:
        if len(names) == 1:
            if scope.find(names[0])[0]:
                self._whole_row(names[0], scope, part)
            else:
                self._bare_column(names[0], scope, part)
        elif len(names) == 2:
            found, table = scope.find(names[0])
            if table:
                part.read[f"{table}.{quoted(names[1])}"] = None
            elif not found or table == ANY:
                part.read[f"*.{quoted(names[1])}"] = None
        else:
            part.read[".".join(map(quoted, names[-3:]))] = None

    def _whole_row(self, alias: str, scope: Scope, part: Part) -> None:
        found, table = scope.find(alias)
        if table:
            part.read[f"{table}.*"] = None
        elif not found:
            part.read["*.*"] = None

    def _bare_column(self, name: str, scope: Scope, part: Part) -> None:
        column = scope.column(name)
        if column:
            part.read[column] = None

    def _field(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        """`(row).field`, and subscripts."""
        for each in node.get("indirection", ()):
            if "String" in each:
                part.read[f"*.{quoted(each['String']['sval'])}"] = None
        self.walk([node["arg"], *node.get("indirection", ())], scope, part)

    def _expression(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        if node.get("kind") in _CALLED_BY_NAME:
            self._operator(node["name"], part)
        for field in ("lexpr", "rexpr"):
            if field in node:
                self.walk(node[field], scope, part)

    def _operator(self, name: list[Json], part: Part) -> None:
        words = [each["String"]["sval"] for each in name]
        version = operators().get(words[-1]) if words[:-1] in ([], ["pg_catalog"]) else None
        if version is None:
            part.hinges["operator", tuple(words[-2:])] = None
        elif version:
            self.versions.add(version)

    def _sorted(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        if node.get("useOp"):
            self._operator(node["useOp"], part)
        self.walk(node["node"], scope, part)

    def _cast(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        """A cast to a type that is not built in may call a function, unless it only says what is read there."""
        names = [each["String"]["sval"] for each in node["typeName"].get("names", ())]
        known = (
            names[-1] in types()
            if names[:-1] in ([], ["pg_catalog"])
            else names[:-1] == ["information_schema"]
        )
        if not known and not node["arg"].keys() & _READ_AS_CAST:
            part.hinges["type", tuple(names[-2:])] = None
        self.walk(node["arg"], scope, part)

    def _sublink(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        if node.get("operName"):
            self._operator(node["operName"], part)
        if "testexpr" in node:
            self.walk(node["testexpr"], scope, part)
        self.subselect(only(node["subselect"])[1], scope, part)

    def _constructor(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        self.versions.add(18)
        self.walk(node, scope, part)

    # -- functions -----------------------------------------------------------------------------------------------

    def call(self, node: Any, scope: Scope, part: Part) -> None:  # noqa: ANN401 - a tree of anything
        """Read the call of a function."""
        names = [each["String"]["sval"] for each in node["funcname"]]
        known = self.function_name(names, part)
        arguments: list[Json] = node.get("args", [])
        if len(arguments) == 1 and not known:
            self._field_notation(names[-1], arguments[0], scope, part)
        for field, value in node.items():
            if field != "funcname" and value.__class__ in (dict, list):
                self.walk(value, scope, part)
        if known:
            calls.read(self, names[-1], arguments, part)

    def function_name(self, names: list[str], part: Part) -> bool:
        """Note a function; whether it is built in. A name alone is taken for the built-in one of that name."""
        version = functions().get(names[-1]) if names[:-1] in ([], ["pg_catalog"]) else None
        if version is None:
            part.functions[".".join(map(quoted, names[-2:]))] = None
            # Those of the standard's schema compute, and drivers call them: JDBC's getPrimaryKeys.
            if names[:-1] != ["information_schema"] or names[-1] not in INFORMATION:
                part.hinges["function", tuple(names[-2:])] = None
            return False
        part.functions[quoted(names[-1])] = None
        if version:
            self.versions.add(version)
        return True

    def _field_notation(self, name: str, argument: Json, scope: Scope, part: Part) -> None:
        """`email(customers)` is `customers.email` where there is no such function."""
        row = _bare(argument)
        table = scope.find(row)[1] if row is not None else None
        if table:
            part.read[f"{table}.{quoted(name)}"] = None
        elif not argument.keys() & _NO_ROW:
            part.read[f"*.{quoted(name)}"] = None


def only(node: Json) -> tuple[str, Any]:
    """Give a node's kind and its fields."""
    ((kind, body),) = node.items()
    return kind, body


def _bare(node: Json) -> str | None:
    """Give the name of a column that is written as a name alone."""
    fields = node.get("ColumnRef", {}).get("fields", ())
    return fields[0].get("String", {}).get("sval") if len(fields) == 1 else None


def _function_name(body: Json) -> str:
    """Give the name that a function in FROM goes by when it has no other."""
    for each in body.get("functions", ()):
        for inner in each.get("List", {}).get("items", ()):
            if "FuncCall" in inner:
                return str(inner["FuncCall"]["funcname"][-1]["String"]["sval"])
    return ""
