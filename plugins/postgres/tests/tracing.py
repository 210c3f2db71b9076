"""A tracer and a catalog for tests of masks by origin that need no server: what statements do is said by the test."""

from __future__ import annotations

from collections.abc import Mapping

from recgate.mask import Becomes, ColumnMask, ColumnPattern, Masking, Replacer
from recgate.mask.masking import Mask
from recgate_postgres.origin.model import ANYTHING, Catalog, Escape, Origin, Traced, Untraceable
from recgate_postgres.origin.sights import Doubt, Sight, Wait
from recgate_postgres.origin.snapshot import Snapshot

SSN = Origin("public", "people", "ssn")
NAME = Origin("public", "people", "name")
CLEAR: frozenset[Origin] = frozenset()
HIDDEN = frozenset((SSN,))
NOTHING = Traced()


def shows(*columns: frozenset[Origin], **more: object) -> Traced:
    """A statement that gives these columns."""
    more.setdefault("plain", (True,) * len(columns))
    return Traced(columns, **more)  # type: ignore[arg-type]


def escapes(way: str, *origins: Origin) -> Traced:
    """A statement that takes values along."""
    return Traced(escapes=(Escape(frozenset(origins), way),))


STATEMENTS: Mapping[str, Traced | str] = {
    "select ssn": shows(HIDDEN),
    "select id, ssn": shows(CLEAR, HIDDEN),
    "select upper(ssn)": shows(HIDDEN, plain=(False,)),
    "select row": shows(HIDDEN, plain=(False,), loose=True),
    "select rows": shows(CLEAR, loose=True),
    "select whatever": shows(frozenset((ANYTHING,))),
    "select name": shows(frozenset((NAME,))),
    "select 1": shows(CLEAR),
    "select 1, 2": shows(CLEAR, CLEAR),
    "select id where ssn": shows(CLEAR, predicates=HIDDEN),
    "select f()": "f() is not built in",
    "do $$x$$": "a DO block runs anything",
    "copy people to stdout": shows(CLEAR, HIDDEN),
    "copy people to stdout with csv header": shows(CLEAR, HIDDEN),
    "copy people to stdout (format binary)": shows(CLEAR, HIDDEN),
    "copy people to stdout (format csv, delimiter '::')": shows(CLEAR, HIDDEN),
    "declare c cursor for select ssn": Traced(made=(("cursor", "c", shows(HIDDEN)),)),
    "declare c cursor for select name": Traced(made=(("cursor", "c", shows(frozenset((NAME,)))),)),
    "prepare q as select ssn": Traced(made=(("statement", "q", shows(HIDDEN)),)),
    "fetch c": Traced(runs=(("cursor", "c"),)),
    'FETCH FROM "c"': Traced(runs=(("cursor", "c"),)),
    "execute q": Traced(runs=(("statement", "q"),)),
    'EXECUTE "q"': Traced(runs=(("statement", "q"),)),
    "create table copies as select ssn": escapes("CREATE TABLE AS", SSN),
    "create view v as select 1": Traced(changes=True),
    "begin": NOTHING,
    "update people set id = 1": NOTHING,
}


class Scene:
    """Implements `Tracer` by calling it and `Sights` besides: says what it was told to, and keeps what it was asked."""

    def __init__(self, **statements: Traced | str) -> None:
        self.statements = {**STATEMENTS, **statements}
        self.now: Sight | Doubt | Wait = Sight(Snapshot(18, 7, (), ()), ("pg_catalog", "public"))
        self.traced: list[str] = []
        self.ran: list[tuple[bytes, bool]] = []
        self.held = True
        self.trusted: frozenset[str] = frozenset()

    def trace(
        self, text: str, catalog: Catalog, path: tuple[str, ...], trusted: frozenset[str] = frozenset()
    ) -> list[Traced]:
        """Give what was said of a text."""
        self.trusted = trusted
        self.traced.append(text)
        return [self._one(each.strip(), catalog) for each in text.split(";")]

    def _one(self, text: str, catalog: Catalog) -> Traced:
        if not isinstance(catalog, Snapshot) and text != "begin":
            catalog.relation("public", "people")
        found = self.statements.get(text, "nobody knows this")
        if isinstance(found, str):
            raise Untraceable(found)
        return found

    def sight(self, text: bytes) -> Sight | Doubt | Wait:
        """Give what was set."""
        return self.now

    def holds(self, sight: Sight) -> bool:
        """Give what was set."""
        return self.held

    def runs(self, text: bytes, changes: bool) -> None:
        """Keep it."""
        self.ran.append((text, changes))


def column_mask(
    *patterns: str,
    becomes: Becomes = Becomes.REDACT,
    name: str = "pii",
    keep: int = 4,
    **how: bool | frozenset[str],
) -> ColumnMask:
    """One mask by origin."""
    replacer = Replacer(becomes, keep=keep, key=b"k" * 32)
    return ColumnMask(name, tuple(map(ColumnPattern, patterns or ("people.ssn",))), replacer, **how)  # type: ignore[arg-type]


def by_origin(*columns: ColumnMask, content: tuple[Mask, ...] = ()) -> Masking:
    """The masks of a session."""
    return Masking(content, lambda: 0.0, columns or (column_mask(),))
