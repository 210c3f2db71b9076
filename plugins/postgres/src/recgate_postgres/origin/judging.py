"""What each request of a connection shows, before it goes to the target: the columns hidden, or why it is refused.

Pure, like the relay that it is a part of. A statement is traced when it is asked for, with the catalog and the search
path that are in force then, and what was found is kept until its result comes. Doubt of any kind is untraced: refused,
or masked whole, as the masks say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from typing import Final

from recgate.mask.columns import ColumnMask, ColumnRefusal
from recgate_postgres.grammar import Json, syntax
from recgate_postgres.origin.copies import copy_format
from recgate_postgres.origin.model import ANYTHING, Catalog, Origin, Traced, Untraceable
from recgate_postgres.origin.outcomes import UNTRACED, Hidden, Outcome, Plan, hidden, joined
from recgate_postgres.origin.sights import Doubt, Sight, Sights, Wait
from recgate_postgres.origin.unknown import UnknownCatalog
from recgate_postgres.requests import Portal, SimpleDetails, Statement
from recgate_postgres.settings import Settings

__all__ = ["Judge", "Tracer"]

# Gives what each statement of a text does with values. Raises `Untraceable`.
# The last argument names functions that somebody answers for.
Tracer = Callable[[str, Catalog, tuple[str, ...], frozenset[str]], Sequence[Traced]]

MAX_CACHED: Final = 2_048  # outcomes of statements, and origins that were compared with the masks
MAX_SPOKEN: Final = 1_000  # names that SQL gave; whoever gives more is not followed any more
MAX_CACHED_TEXT: Final = 16_384  # characters
MAX_STATEMENTS: Final = 1_000  # in one text

# What gives rows and, as far as anybody can tell by its beginning, does nothing else.
_SHOWS: Final = frozenset(("SelectStmt", "ExecuteStmt", "FetchStmt", "ExplainStmt", "VariableShowStmt"))


class _Refused(Exception):
    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.refusal = ColumnRefusal(rule, reason)


class Judge:
    """Of one connection. `refusal` is about the request that was judged last."""

    def __init__(
        self,
        masks: Sequence[ColumnMask],
        sights: Sights,
        trace: Tracer,
        settings: Settings,
        means: Callable[[str, str], Iterable[Statement | Portal]],
    ) -> None:
        """`means` gives the statements or portals of the protocol that a name may mean: `("cursor", "c")`."""
        self.refusal: ColumnRefusal | None = None
        self._masks = tuple(masks)
        self._trusted = frozenset(
            name for name in self._masks[0].trusted if all(name in mask.trusted for mask in self._masks)
        )
        self._sights = sights
        self._trace = trace
        self._settings = settings
        self._means = means
        self._plans: deque[Plan | None] = deque()
        self._outcomes: dict[tuple[int, tuple[str, ...], str], Outcome] = {}
        self._covering: dict[Origin, tuple[ColumnMask, ...]] = {}
        self._spoken: dict[tuple[str, str], list[tuple[Outcome, Sight | None]]] = {}
        self._seen: tuple[bytes, Sight | Doubt | Wait] | None = None  # what was said last of a text
        self._lost = False  # more names were given than are kept

    # -- what the relay asks ---------------------------------------------------------------------------------------

    def waits(self, text: bytes) -> bool:
        """Whether a text cannot be judged before the target or the gateway's own connection has answered."""
        sight = self._sights.sight(text)
        self._seen = text, sight
        return isinstance(sight, Wait)

    def holds(self, plan: Plan) -> bool:
        """Whether what a plan was made with still holds, now that the result comes."""
        return plan.sight is None or self._sights.holds(plan.sight)

    def query(self, details: SimpleDetails, *, behind: bool) -> None:
        """Judge a Query. `behind` says that something is under way that may change how it is read."""
        doubtful = self._settings.doubts(details.text, behind=behind)
        self._judge(lambda: self._plan(details.text, self._settings.codec, doubtful), details.text)

    def portal(self, portal: Portal) -> None:
        """Judge a Bind or an Execute: a portal shows what it was bound to, whatever names mean by now."""
        if portal.plan is not None:
            self.refusal = None
            self._plans.append(portal.plan)
            self._note(portal.statement.text, portal.plan)
            return
        self._judge(lambda: self._statement(portal.statement), portal.statement.text)
        if self.refusal is None:
            portal.plan = self._plans[-1]

    def call(self) -> None:
        """Judge a FunctionCall: it says no name, and its result has no columns."""
        reason = "a function call by number shows what nobody can trace: call it by its name in a SELECT"
        self._judge(lambda: self._never(reason), b"")

    def taken(self) -> Plan | None:
        """Give the plan of the oldest request that has been judged and neither sent nor refused until now."""
        return self._plans.popleft() if self._plans else None

    def made(self, outcome: Outcome) -> None:
        """Note that a statement has succeeded which gave names a meaning: that is what they mean from now on."""
        for sort, name, shown in outcome.made:
            meant = self._spoken.get((sort, name), [])
            self._spoken[sort, name] = [each for each in meant if each[0] == shown][-1:] or meant

    # -- texts -----------------------------------------------------------------------------------------------------

    def _judge(self, judged: Callable[[], Plan], text: bytes) -> None:
        self.refusal = None
        plan: Plan | None = None
        try:
            plan = judged()
        except _Refused as exc:
            self.refusal = exc.refusal
        except Untraceable as exc:
            self.refusal = self._refusal(str(exc))
        except Exception as exc:  # noqa: BLE001 - a mask's doubt refuses what it was asked about, whatever raised (law 3)
            self.refusal = self._refusal(f"following it failed ({type(exc).__name__})")
        self._plans.append(plan)
        if plan is not None:
            self._note(text, plan)

    def _note(self, text: bytes, plan: Plan) -> None:
        """Tell whoever keeps the catalog, and learn the names that the text gives a meaning."""
        self._sights.runs(text, any(outcome.changes for outcome in plan.outcomes))
        sight = plan.sight
        for outcome in plan.outcomes:
            for sort, name, shown in outcome.made:
                meant = self._spoken.setdefault((sort, name), [])
                if (shown, sight) not in meant:
                    meant.append((shown, sight))
        if len(self._spoken) > MAX_SPOKEN or any(len(meant) > MAX_SPOKEN for meant in self._spoken.values()):
            self._spoken.clear()
            self._lost = True

    def _statement(self, statement: Statement) -> Plan:
        if not statement.known or statement.meanings != (statement.text,):
            raise Untraceable("this name may mean more than one statement: prepare it under another name")
        return self._plan(statement.text, statement.codec, statement.doubtful)

    def _plan(self, text: bytes, codec: str, doubtful: bool) -> Plan:
        """Give the plan of a text. Raises `_Refused` and `Untraceable`."""
        shown = self._readable(text, codec, doubtful)
        # What was said before the text was noted as under way, which is what it is judged by.
        known, self._seen = self._seen, None
        sight = known[1] if known is not None and known[0] == text else self._sights.sight(text)
        if isinstance(sight, Wait):
            sight = Doubt("the catalog of the database has not been read yet")
        return Plan(self._outcomes_of(shown, sight), sight if isinstance(sight, Sight) else None)

    def _outcomes_of(self, shown: str, sight: Sight | Doubt) -> tuple[Outcome, ...]:
        if isinstance(sight, Sight):
            known = self._outcomes.get((sight.catalog.generation, sight.path, shown))
            if known is not None:
                return (known,)
        trees = syntax(shown)
        if trees is None:
            return (self._untraced("this does not parse", None),)
        if len(trees) > MAX_STATEMENTS:
            raise Untraceable(f"more than {MAX_STATEMENTS} statements in one text")
        try:
            if isinstance(sight, Sight):
                traced = self._trace(shown, sight.catalog, sight.path, self._trusted)
            else:
                traced = self._trace(
                    shown, UnknownCatalog(sight.reason, self._settings.version), (), self._trusted
                )
            if len(traced) != len(trees):
                raise Untraceable("how many statements there are in this is not certain")
            seen = sight if isinstance(sight, Sight) else None
            outcomes = tuple(
                self._outcome(each, tree["stmt"], seen) for each, tree in zip(traced, trees, strict=True)
            )
        except Untraceable as exc:
            return tuple(self._untraced(str(exc), tree["stmt"]) for tree in trees)
        if (
            isinstance(sight, Sight)
            and len(outcomes) == 1
            and not traced[0].runs
            and len(shown) <= MAX_CACHED_TEXT
        ):
            if len(self._outcomes) >= MAX_CACHED:
                self._outcomes.clear()
            self._outcomes[sight.catalog.generation, sight.path, shown] = outcomes[0]
        return outcomes

    def _readable(self, text: bytes, codec: str, doubtful: bool) -> str:
        settings = self._settings
        if doubtful:
            raise Untraceable(
                "whether a backslash escapes in it is not known: SET standard_conforming_strings = on"
            )
        if text.isascii():
            return text.decode("ascii")
        if not settings.safe or not settings.exact:
            raise Untraceable(
                "it is not in an encoding that can be read for certain: SET client_encoding TO 'UTF8'"
            )
        try:
            return text.decode(codec)
        except ValueError:
            raise Untraceable(f"it is not {settings.encoding}") from None

    # -- what was traced -------------------------------------------------------------------------------------------

    def _outcome(self, traced: Traced, tree: Json, sight: Sight | None) -> Outcome:
        """Say what a traced statement may show. Raises `_Refused` and `Untraceable`."""
        for escape in traced.escapes:
            for origin in sorted(escape.origins):
                if masks := self._covered(origin):
                    raise _Refused(
                        masks[0].name, f"{_said(origin)} is masked, and {escape.way} would take it along"
                    )
        for origin in sorted(traced.predicates):
            for mask in self._covered(origin):
                if not mask.predicates:
                    reason = f"{_said(origin)} is masked and may not decide what is found, joined or ordered"
                    raise _Refused(mask.name, reason)
        columns = None
        if traced.columns is not None:
            plain = (
                traced.plain if len(traced.plain) == len(traced.columns) else (False,) * len(traced.columns)
            )
            columns = tuple(starmap(self._column, zip(traced.columns, plain, strict=True)))
        made = tuple((sort, name, self._outcome(each, tree, sight)) for sort, name, each in traced.made)
        copy = copy_format(tree["CopyStmt"]) if "CopyStmt" in tree else None
        if "CopyStmt" in tree and columns is not None and any(columns) and copy is None:
            raise Untraceable("rows in the form that this COPY asks for cannot be taken apart")
        guarded = any(map(self._covered, traced.predicates | traced.read))
        guarded = (
            guarded or (columns is not None and any(columns)) or any(each.guarded for _, _, each in made)
        )
        outcome = Outcome(columns, None, traced.loose, guarded, traced.changes, copy, made)
        for run in traced.runs:
            outcome = self._run(run, outcome, sight)
        return outcome

    def _column(self, origins: Iterable[Origin], plain: bool) -> Hidden | None:
        found = [(mask, origin) for origin in sorted(origins) for mask in self._covered(origin)]
        if not found:
            return None
        mask, origin = min(found, key=lambda each: each[0].replacer.rank)
        what = UNTRACED if origin == ANYTHING else _said(origin)
        return hidden([mask for mask, _ in found], what, derived=not plain, rule=mask.name)

    def _covered(self, origin: Origin) -> tuple[ColumnMask, ...]:
        masks = self._covering.get(origin)
        if masks is None:
            masks = tuple(
                mask
                for mask in self._masks
                if origin == ANYTHING or mask.covers(origin.schema, origin.table, origin.column)
            )
            if len(self._covering) >= MAX_CACHED:
                self._covering.clear()
            self._covering[origin] = masks
        return masks

    def _run(self, run: tuple[str, str], outcome: Outcome, sight: Sight | None) -> Outcome:
        """Put what a name shows in the place of what runs it. Raises `Untraceable`."""
        sort, name = run
        shown: Outcome | None = None
        for meant in self._meant(sort, name, sight):
            shown = meant if shown is None else joined(shown, meant)
            if shown is None:
                raise Untraceable(f'the {sort} "{name}" may mean more than one thing: use another name')
        if shown is None or self._lost:
            raise Untraceable(f'nothing is known of a {sort} "{name}"')
        return Outcome(
            shown.columns,
            shown.whole,
            shown.loose,
            outcome.guarded or shown.guarded,
            outcome.changes or shown.changes,
            outcome.copy,
            outcome.made,
        )

    def _meant(self, sort: str, name: str, sight: Sight | None) -> Iterable[Outcome]:
        for each, then in self._spoken.get((sort, name), ()):
            if sort == "statement" and not _same(then, sight):
                # It is planned anew when it runs, and its names may mean something else by now.
                raise Untraceable(f'what "{name}" was prepared with has changed: prepare it again')
            yield each
        for each in self._means(sort, name):
            if isinstance(each, Portal):
                plan = each.plan if each.plan is not None else self._statement(each.statement)
            else:
                plan = self._statement(each)
            yield plan.outcomes[0] if plan.outcomes else Outcome()

    # -- what was not ----------------------------------------------------------------------------------------------

    def _untraced(self, reason: str, tree: Json | None) -> Outcome:
        """Mask what cannot be followed whole, where every mask says so and it only shows. Raises `_Refused`."""
        kind = next(iter(tree), "") if tree is not None else ""
        shows = kind in _SHOWS or (
            kind == "CopyStmt" and _to_client(tree["CopyStmt"] if tree is not None else {})
        )
        if not shows or not all(mask.whole for mask in self._masks):
            refusal = self._refusal(reason)
            raise _Refused(refusal.rule, refusal.reason)
        copy = copy_format(tree["CopyStmt"]) if kind == "CopyStmt" and tree is not None else None
        return Outcome(
            None, hidden(self._masks, UNTRACED, derived=True), guarded=True, changes=True, copy=copy
        )

    def _refusal(self, reason: str) -> ColumnRefusal:
        mask = next((mask for mask in self._masks if not mask.whole), self._masks[0])
        return ColumnRefusal(mask.name, f"{reason}, so masked columns cannot be followed through it")

    def _never(self, reason: str) -> Plan:
        raise _Refused(self._masks[0].name, reason)


def _same(one: Sight | None, other: Sight | None) -> bool:
    """Whether the same text means the same with both."""
    if one is None or other is None:
        return False
    return one.catalog.generation == other.catalog.generation and one.path == other.path


def _said(origin: Origin) -> str:
    if origin == ANYTHING:
        return "what this reads may be any column's, and some"
    return f"{origin.table}.{origin.column}"


def _to_client(statement: Json) -> bool:
    return not statement.get("is_from") and not statement.get("is_program") and not statement.get("filename")
