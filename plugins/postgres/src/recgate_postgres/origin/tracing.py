"""Say where the values of a text's results come from: the one door to lineage.

What is traced is cached by whoever asks, by text, path and generation of the catalog: a usual statement takes less than
a millisecond, and none more than `MAX_STEPS` lets it.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from recgate_postgres.grammar import Json, syntax
from recgate_postgres.origin.expressions import only
from recgate_postgres.origin.model import Catalog, Traced, Untraceable
from recgate_postgres.origin.selecting import select
from recgate_postgres.origin.statements import NAMELESS, statement, summed_up
from recgate_postgres.origin.work import Budget, Seen, Work
from recgate_postgres.origin.writing import change

__all__ = ["MAX_STATEMENTS", "Tracer", "trace"]

MAX_STATEMENTS: Final = 512  # in one text


# What is known of the relations of each catalog, as long as somebody has it.
_SEEN: Final[WeakKeyDictionary[Catalog, dict[frozenset[str], dict[tuple[int, bool], Seen]]]] = (
    WeakKeyDictionary()
)


class Tracer:
    """Traces texts through one catalog. What is learnt of the relations in it is kept as long as the catalog is.

    `trusted` names functions that somebody answers for: they keep nothing, show nothing elsewhere, and read nothing but
    their arguments. With a schema or without.
    """

    __slots__ = ("_seen", "catalog", "trusted")

    def __init__(self, catalog: Catalog, trusted: frozenset[str] = frozenset()) -> None:
        self.catalog = catalog
        self.trusted = trusted
        # Views mean the same for every session: every name in them is qualified.
        self._seen: dict[tuple[int, bool], Seen] = _SEEN.setdefault(catalog, {}).setdefault(trusted, {})

    def trace(self, text: str, path: tuple[str, ...]) -> tuple[Traced, ...]:
        """Trace every statement of a text; `path` is what `current_schemas(true)` gives where it will run.

        Of several statements, one that changes what names mean must be the last that uses any.

        Raises:
            Untraceable: one of them cannot be followed for certain. Its words say which part, and never a value.
        """
        try:
            return self._trace(text, path)
        except (RecursionError, LookupError, TypeError, ValueError, AttributeError, AssertionError) as exc:
            # Too deep to walk, or a tree of a shape that nobody foresaw: doubt.
            raise Untraceable(f"its form is not known here ({type(exc).__name__})") from None

    def _trace(self, text: str, path: tuple[str, ...]) -> tuple[Traced, ...]:
        parsed = syntax(text)
        if parsed is None:
            raise Untraceable("it cannot be read")
        if len(parsed) > MAX_STATEMENTS:
            raise Untraceable(f"more than {MAX_STATEMENTS} statements at once")
        budget = Budget()
        found: list[Traced] = []
        unsettled = False
        for each in parsed:
            node: Json = each.get("stmt", {})
            if not node:
                continue
            if unsettled and only(node)[0] not in NAMELESS:
                raise Untraceable("a statement before it changes what names mean: send it for itself")
            work = Work(self.catalog, path, select, change, self.trusted, budget, self._seen)
            found.append(summed_up(work, statement(work, node)))
            unsettled = unsettled or work.unsettled or work.changes
        return tuple(found)


def trace(
    text: str, catalog: Catalog, path: tuple[str, ...], trusted: frozenset[str] = frozenset()
) -> tuple[Traced, ...]:
    """Trace a text once; see `Tracer.trace`."""
    return Tracer(catalog, trusted).trace(text, path)
