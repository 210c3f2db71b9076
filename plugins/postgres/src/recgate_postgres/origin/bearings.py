"""What one session's names mean: the catalog of its database, and its search path, each while it is certain.

The catalog comes by surveys of the gateway's own. The path is asked for on the session's own connection, hidden from
the client, when all before has been answered: whatever a role's settings, a function or a rolled-back transaction
have made of it, `current_schemas` knows. It is kept while nothing runs that may change it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from recgate.sansio.asks import Survey, Surveyed
from recgate_postgres.origin.effects import Effect, Step, alters, steps_of
from recgate_postgres.origin.following import Following
from recgate_postgres.origin.overlay import HERE, Overlay
from recgate_postgres.origin.quiet import Quiet
from recgate_postgres.origin.resolving import resolved
from recgate_postgres.origin.sights import Doubt, Sight, Wait
from recgate_postgres.origin.snapshot import Snapshot

if TYPE_CHECKING:
    from recgate.policy import Act
    from recgate.sansio.surveys import Findings
    from recgate_postgres.names import Names

__all__ = ["QUESTION", "Bearings"]

MAX_NAMES: Final = 10_000  # schemas in a path, temporary objects of a session
IDLE, FAILED = 73, 69  # "I" and "E" of a ReadyForQuery

# Everything by its schema: what the client's own path holds must not be what answers. Temporary tables and types are
# asked for by name, as they go before everything else; what they are is nobody's to follow.
QUESTION: Final = (
    "SELECT pg_catalog.json_build_array(pg_catalog.array_to_json(pg_catalog.current_schemas(true)), "
    "(SELECT pg_catalog.json_agg(c.relname) FROM pg_catalog.pg_class c "
    "WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), "
    "(SELECT pg_catalog.json_agg(t.typname) FROM pg_catalog.pg_type t "
    "WHERE t.typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()))"
)

_NOTHING: Final = Sight(Snapshot(0, 0, (), ()), (), -1)
_OPEN: Final = Doubt("the open transaction has created or altered something: COMMIT it first")
_BEHIND: Final = Doubt(
    "an earlier statement in the same text may change what this one means: send them one by one"
)
_SERIES: Final = Doubt("an earlier message may change what this one means: send Sync in between")
_BROKEN: Final = Doubt("the transaction has failed: ROLLBACK it first")
_UNREAD: Final = Doubt("the catalog of the database could not be read: say so to the gateway's administrator")
_UNASKED: Final = Doubt("the search path of this session could not be asked for")


class Bearings:
    """`Sights` of one connection."""

    __slots__ = (
        "_catalog",
        "_changed",
        "_doubt",
        "_findings",
        "_following",
        "_judge",
        "_last",
        "_names",
        "_overlay",
        "_own",
        "_path",
        "_read_with",
        "_shaken",
        "_subject",
        "_temporary",
        "_wanted",
        "asking",
    )

    def __init__(self, findings: Findings, subject: str, names: Names) -> None:
        """`subject` is the database; `names` says what is under way."""
        self._findings = findings
        self._subject = subject
        self._names = names
        self._catalog: Snapshot | None = None  # what the path was asked for with
        self._path: tuple[str, ...] | None = None
        self._temporary: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()
        self._overlay: Overlay | None = None
        self._changed = False  # something that other sessions see, in the open transaction or under way
        self._shaken = False  # the path may be another when the open transaction ends
        self._own = 0  # how often this session has spoilt the findings itself
        self._judge: Quiet | None = None
        self._following: Following | None = None
        self._read_with: tuple[str, ...] | None = None  # the path for the last text, if it was certain
        self._doubt: Doubt | None = None  # what could not be had for the client's last words
        self._last: tuple[bytes, Doubt] | None = (
            None  # what was said of a text, until something has come since
        )
        self._wanted: Survey | str | None = None
        self.asking = False  # a question of ours is on its way to the target

    # -- Sights ----------------------------------------------------------------------------------------------

    def sight(self, text: bytes) -> Sight | Doubt | Wait:
        """Say what a text would be read with."""
        found = self._sight(text)
        if found is _NOTHING:
            self._read_with = self._path  # LOCK reads nothing, and names tables
        else:
            self._read_with = found.path if isinstance(found, Sight) else None
        return found

    def resolved(self, acts: Sequence[Act]) -> Sequence[Act]:
        """Give the acts of the last text, and of the functions that it calls, with the schemas of their names."""
        if self._following is None:
            return resolved(acts, None, None)
        return self._following.resolved(acts, self._read_with)

    def _sight(self, text: bytes) -> Sight | Doubt | Wait:
        steps = self._steps(text)
        if all(step.effect not in (Effect.RUNS, Effect.TEMPORARY) for step in steps):
            return _NOTHING
        if self._doubt is not None:
            return self._doubt
        if self._last is not None and self._last[0] == text:
            return self._last[1]
        found = self._found()
        if isinstance(found, Doubt):
            self._last = text, found  # the text itself is under way when this is asked again
        if isinstance(found, Sight) and any(
            self._alters(each) or not self._quiet(each) for each in steps[:-1]
        ):
            return _BEHIND
        return found

    def _found(self) -> Sight | Doubt | Wait:
        names = self._names
        if self.asking:
            return Wait()
        if self._changed:
            return self._until_settled(_OPEN)
        catalog = self._findings.current(self._subject)
        if not isinstance(catalog, Snapshot):
            self._wanted = Survey(self._subject)
            return Wait()
        if catalog.generation != (self._catalog and self._catalog.generation):
            self._path = None  # a schema may be there now that was not
            self._judge, self._following = Quiet(catalog), Following(catalog)
        self._catalog = catalog
        if self._path is None:
            if names.status == FAILED and self._settled:
                return _BROKEN
            if self._settled:
                self._wanted = QUESTION
                return Wait()
            return self._until_settled(_SERIES)
        if self._overlay is None or self._overlay.under is not catalog:
            self._overlay = Overlay(catalog, self._path, self._temporary)
        shown = tuple(HERE if each.startswith("pg_temp_") else each for each in self._path)
        return Sight(self._overlay, shown, self._mark)

    def _until_settled(self, doubt: Doubt) -> Doubt | Wait:
        """Wait for answers that will come without more from the client; else doubt."""
        names = self._names
        return Wait() if names.waiting and not names.active and not names.copying else doubt

    @property
    def _settled(self) -> bool:
        names = self._names
        return not (names.waiting or names.active or names.copying)

    @property
    def _mark(self) -> int:
        return self._findings.mark(self._subject) - self._own

    def holds(self, sight: Sight) -> bool:
        """Whether nothing has been spoilt since, but by this session itself: of that the order is known."""
        return sight.mark in (-1, self._mark)

    def runs(self, text: bytes, changes: bool | None = None) -> None:
        """Note what goes to the target. Without `changes` its form says whether it changes what names mean."""
        self._last = None
        steps = self._steps(text)
        if changes is None:
            changes = any(map(self._alters, steps))
        temporary = all(step.effect is not Effect.RUNS for step in steps)
        for step in steps:
            if step.effect is Effect.ENDS:
                if self._shaken:
                    self._path = None
            elif not self._quiet(step):
                self._path, self._shaken = None, True
        if changes and not temporary:
            self._changed = True
        if self._changed:
            self._spoil()  # whoever reads the catalog while this is on its way may read either

    def _spoil(self) -> None:
        self._own += 1
        self._findings.spoil(self._subject)

    def _steps(self, text: bytes) -> Sequence[Step]:
        try:
            return steps_of(text.decode(self._names.codec))
        except ValueError:
            return steps_of("\0")  # which parses nowhere

    def _alters(self, step: Step) -> bool:
        """Whether a statement may change what names mean: also by a view of the catalog itself."""
        catalog = self._catalog
        return alters(step) or any(
            "pg_" in each.definition
            for name in (step.written if catalog is not None else ())
            for each in (catalog.relations_named(name) if catalog is not None else ())
        )

    def _quiet(self, step: Step) -> bool:
        """Whether a statement leaves the path alone for certain."""
        if step.effect is Effect.ENDS:
            return not self._shaken
        if step.effect is Effect.RUNS and self._path is not None and self._judge is not None:
            return self._judge.statement(step.tree)
        return step.effect is Effect.ASIDE

    # -- what the relay tells --------------------------------------------------------------------------------

    def wanted(self) -> Survey | str | None:
        """Give what the client waits for, once: a survey to ask for, or a question to the session's own target."""
        wanted, self._wanted = self._wanted, None
        if wanted is QUESTION:
            self.asking = True
        return wanted

    def surveyed(self, reply: object) -> None:
        """Take the answer to a survey that was asked for."""
        if not isinstance(reply, Surveyed) or reply.reason or self._findings.current(self._subject) is None:
            self._doubt = _UNREAD

    def answered(self, row: bytes | None, status: int) -> None:
        """Take the answer to the question, None for none, and the status that came with it."""
        self._names.status = status
        self.asking = False
        path = self._read(row) if row is not None else None
        if path is None:
            self._doubt = _UNASKED

    def _read(self, row: bytes) -> tuple[str, ...] | None:
        settings = self._names.meanings.settings
        if not (settings.safe and (settings.exact or row.isascii())):
            return None
        try:
            found: object = json.loads(row.decode(self._names.codec))
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, list) or len(cast("list[object]", found)) != 3:
            return None
        path, relations, types = (_strings(each) for each in cast("list[object]", found))
        if path is None or relations is None or types is None:
            return None
        self._path, self._overlay = path, None
        self._temporary = frozenset(relations), frozenset(types)
        return path

    def heard(self) -> None:
        """The client has said more: what could not be had before is tried again."""
        self._doubt = self._last = None

    def reported(self, name: bytes) -> None:
        """Note a ParameterStatus: PostgreSQL 18 says so when the path is set to something else."""
        if name in (b"search_path", b"session_authorization"):
            self._path = None
            self._shaken = True

    def ready(self, status: int) -> None:
        """Note a ReadyForQuery."""
        self._last = None
        if status == IDLE and not self._names.waiting and not self._names.active:
            self._shaken = False
            if self._changed:
                self._changed = False
                self._spoil()


def _strings(value: object) -> tuple[str, ...] | None:
    if value is None:
        return ()
    if not isinstance(value, list) or len(cast("list[object]", value)) > MAX_NAMES:
        return None
    found = tuple(each for each in cast("list[object]", value) if isinstance(each, str))
    return found if len(found) == len(cast("list[object]", value)) else None
