"""Judge requests of one kind by what is left of the rules for it, and remember what was said of the same before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from recgate.decisions import ALLOW, Alert, Decision, Effect, stricter
from recgate.policy import Act, acts_of
from recgate.policy.braking import FLOWING, Counted
from recgate.policy.holding import Question, waiting, words
from recgate.policy.obligations import MAX_ROWS
from recgate.providers import PolicyRequest
from recgate_policy_cel.evaluation import Program, name_of
from recgate_policy_cel.folding import fold, upper
from recgate_policy_cel.model import Field, Nature
from recgate_policy_cel.rules import CelRule
from recgate_policy_cel.tree import FALSE, Condition, Constant, Ref, Threshold, reads, walk
from recgate_policy_cel.values import act_value, counted, detail, exceeds

__all__ = [
    "MAX_ACTS",
    "MAX_FACTS",
    "MAX_JUDGED",
    "MAX_SAME",
    "KindRules",
    "Memory",
    "Refusing",
    "Remaining",
    "of_kind",
    "remaining",
]

MAX_JUDGED: Final = 1 << 20  # characters of a request's text: to look at more would hold up everybody
MAX_ACTS: Final = 1_000  # of one request
MAX_FACTS: Final = 10_000  # names in one act
MAX_REMEMBERED: Final = 20_000  # decisions of one policy; all are forgotten when there are more
MAX_SAME: Final = 4_096  # acts that are known again without looking at them
MAX_KEY: Final = 2_048  # characters of a text whose decision is remembered
MAX_KEY_FACTS: Final = 200  # names in all acts of a request whose decision is remembered
_DEFAULT: Final = {"deny": "this is not allowed here", "hold": "", "alert": "", "allow": ""}


@dataclass(frozen=True, slots=True)
class Remaining:
    """A rule as far as it is not settled. `opaque` is for acts that do not tell their facts; None: as for others."""

    rule: CelRule
    condition: Condition
    opaque: Condition | None

    @property
    def all(self) -> tuple[Condition, ...]:
        """Both conditions, where there are two."""
        return (self.condition,) if self.opaque is None else (self.condition, self.opaque)


def of_kind(acts: Sequence[Act], asked: str, kind: str) -> tuple[Act, ...]:
    """Give the acts of a kind in a request of the kind `asked`, which is theirs where they do not say another."""
    return tuple(act for act in acts if (act.kind or asked) == kind)


def remaining(rule: CelRule, condition: Condition, known: Mapping[str, object]) -> Remaining | None:
    """Give what is left of a rule where `known` is settled, or None if it cannot match."""
    left = fold(condition, known)
    opaque = None
    if rule.matches_opaque and reads(left, Nature.FACT):
        opaque = fold(upper(left), known)
    if left == FALSE and opaque in (None, FALSE):
        return None
    return Remaining(rule, left, opaque)


class Memory:
    """How many decisions a policy remembers in all: one bound for every session, or many could fill the memory."""

    def __init__(self) -> None:
        self._kept: list[dict[tuple[object, ...], _Outcome]] = []
        self._count = 0

    def keep(
        self, where: dict[tuple[object, ...], _Outcome], key: tuple[object, ...], outcome: _Outcome
    ) -> None:
        """Remember one more; beyond the bound everything is forgotten first."""
        if self._count >= MAX_REMEMBERED:
            for each in self._kept:
                each.clear()
            self._kept, self._count = [], 0
        if not where:
            self._kept.append(where)
        where[key] = outcome
        self._count += 1


class Refusing:
    """Stands for rules that could not be settled: everything that they may be about is refused."""

    def __init__(self, rule: str, exc: Exception) -> None:
        self._decision = Decision.deny(
            f"refused, since it could not be judged ({type(exc).__name__})", rule=rule
        )

    def decide(self, request: PolicyRequest, kind: str) -> Decision:
        """Refuse."""
        return self._decision

    def crossed(self, request: PolicyRequest, kind: str, before: Counted) -> Decision:
        """Refuse."""
        return self._decision

    def counters(self) -> dict[str, tuple[int, ...]]:
        """Go by none."""
        return {}


class _Test:
    """A condition ready to run: a constant, or a program."""

    __slots__ = ("_constant", "_program")

    def __init__(self, condition: Condition) -> None:
        self._constant = bool(condition.value) if isinstance(condition, Constant) else None
        self._program = None if self._constant is not None else Program.of(condition)

    def __call__(self, values: Mapping[str, object]) -> bool:
        if self._program is None:
            return self._constant is True
        return self._program(values)


_Tested = tuple[CelRule, _Test, _Test | None]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What is said of every request that looks the same."""

    decision: Decision
    questions: tuple[Question, ...] = ()


class KindRules:
    """The rules that are left for requests of one kind. Shared by sessions for which the same is left."""

    def __init__(self, rules: Sequence[Remaining], memory: Memory) -> None:
        self._memory = memory
        self._tests: list[_Tested] = [
            (each.rule, _Test(each.condition), None if each.opaque is None else _Test(each.opaque))
            for each in rules
        ]
        conditions = [condition for each in rules for condition in each.all]
        fields: set[Field] = set()
        for condition in conditions:
            fields |= reads(condition)
        by_act = {field for field in fields if field.nature is Nature.FACT or field.path == "request.opaque"}
        self._by_act: list[tuple[str, Field]] = [(name_of(Ref(field)), field) for field in _sorted(by_act)]
        # An act that is opaque may be judged by another condition: then every act matters, whatever is read of it.
        self._acts = bool(by_act) or any(each.opaque is not None for each in rules)
        said = {field for field in fields if field.nature in (Nature.PLAIN, Nature.KIND)} - by_act
        # A protocol without acts (`forward`) says some of them of the request as a whole.
        also = {field for field in by_act if field.name in ("path", "direction")}
        self._said = [(name_of(Ref(field)), field) for field in _sorted(said | also)]
        thresholds = {
            node for condition in conditions for node in walk(condition) if isinstance(node, Threshold)
        }
        self._thresholds = [(name_of(each), each) for each in sorted(thresholds, key=name_of)]
        self._counters = counted(thresholds)
        if any(MAX_ROWS in each.rule.then.obligations for each in rules):
            self._counters[MAX_ROWS] = ()
        self._flowing = [
            test for test, each in zip(self._tests, rules, strict=True) if any(map(_flows, each.all))
        ]
        self._text = any(field.name == "text" for field in said)
        self._remembered: dict[tuple[object, ...], _Outcome] = {}
        # Where nothing but acts decides: by the very object, which is kept so that it stays the same.
        self._by_acts = self._acts and not self._said and not self._thresholds
        self._same: dict[int, tuple[Sequence[Act], _Outcome]] = {}

    def decide(self, request: PolicyRequest, kind: str) -> Decision:
        """Judge the acts of one kind in a request. A request that looks like one before costs a look-up."""
        asked = request.request
        found = acts_of(asked) if self._acts else ()
        if self._by_acts:
            # A protocol gives the same acts for the same text, so mostly this is one look-up without looking at them.
            last = self._same.get(id(found))
            if last is not None and last[0] is found and not last[1].questions:
                return last[1].decision
        acts = tuple(found)
        said = [detail(field, asked) for _, field in self._said]
        now = [exceeds(threshold, request) for _, threshold in self._thresholds]
        key = (acts, *said, *now)
        outcome = self._remembered.get(key)
        if outcome is None:
            outcome = self._judge(of_kind(acts, asked.kind, kind), said, now)
            if (not self._text or len(asked.text) <= MAX_KEY) and sum(map(_facts, acts)) <= MAX_KEY_FACTS:
                self._memory.keep(self._remembered, key, outcome)
        if self._by_acts and found.__class__ is tuple:
            if len(self._same) >= MAX_SAME:
                self._same.clear()
            self._same[id(found)] = (found, outcome)
        if not outcome.questions:
            return outcome.decision
        return replace(outcome.decision, wait=waiting(request, outcome.questions))

    def counters(self) -> dict[str, tuple[int, ...]]:
        """Give the counters that these rules go by, and the values at which they may turn."""
        return self._counters

    def crossed(self, request: PolicyRequest, kind: str, before: Counted) -> Decision:
        """Judge by the rules alone that match now and did not when what flows had been counted to `before`."""
        brake, asked = request.session.brake, request.request
        if not self._flowing or brake is None:
            return ALLOW
        acts = of_kind(tuple(acts_of(asked)) if self._acts else (), asked.kind, kind)
        said = [detail(field, asked) for _, field in self._said]
        now = [exceeds(threshold, request) for _, threshold in self._thresholds]
        view, brake.view = brake.view, before
        try:
            then = [exceeds(threshold, request) for _, threshold in self._thresholds]
        finally:
            brake.view = view
        matched = self._matching(self._flowing, acts, said, now)
        earlier = self._matching(self._flowing, acts, said, then)
        if isinstance(matched, Decision):
            return matched
        if isinstance(earlier, Decision):
            return earlier
        outcome = _outcome([rule for rule in matched if rule not in earlier])
        if not outcome.questions:
            return outcome.decision
        return replace(outcome.decision, wait=waiting(request, outcome.questions))

    def _judge(self, acts: Sequence[Act], said: Sequence[object], now: Sequence[bool]) -> _Outcome:
        matched = self._matching(self._tests, acts, said, now)
        return _Outcome(matched) if isinstance(matched, Decision) else _outcome(matched)

    def _matching(
        self, tests: Sequence[_Tested], acts: Sequence[Act], said: Sequence[object], now: Sequence[bool]
    ) -> list[CelRule] | Decision:
        """Give the rules that match, or the deny of one that cannot be judged."""
        values = {name: value for (name, _), value in zip(self._said, said, strict=True)}
        values |= {name: value for (name, _), value in zip(self._thresholds, now, strict=True)}
        # What is said of the request as a whole, before any act's own word has its place in `values`.
        whole = {name: values[name] for name, _ in self._by_act if name in values}
        matched: list[CelRule] = []
        size = self._too_much(acts, values)
        for rule, test, opaque in tests:
            try:
                if size:
                    raise OverflowError(size)
                if self._matches(test, opaque, acts, values, whole):
                    matched.append(rule)
            except Exception as exc:  # noqa: BLE001 - a rule that cannot be judged denies, whatever it raised (law 3)
                why = size or f"it could not be judged ({type(exc).__name__})"
                return Decision.deny(f"refused, since {why}", rule=rule.name)
        return matched

    def _too_much(self, acts: Sequence[Act], values: Mapping[str, object]) -> str:
        """Say what of a request is more than rules look at, or nothing."""
        text = values.get("request_text")
        if isinstance(text, str) and len(text) > MAX_JUDGED:
            return f"its text is longer than {MAX_JUDGED} characters"
        if len(acts) > MAX_ACTS:
            return f"it does more than {MAX_ACTS} things at once"
        if any(_facts(act) > MAX_FACTS for act in acts):
            return f"it names more than {MAX_FACTS} things"
        return ""

    def _matches(
        self,
        test: _Test,
        opaque: _Test | None,
        acts: Sequence[Act],
        values: dict[str, object],
        whole: Mapping[str, object],
    ) -> bool:
        if not self._acts:
            return test(values)
        for act in acts:
            for name, field in self._by_act:
                value = act_value(field, act)
                values[name] = value or whole[name] if name in whole else value
            if (opaque if opaque is not None and act.opaque else test)(values):
                return True
        return False


def _flows(condition: Condition) -> bool:
    thresholds = (node for node in walk(condition) if isinstance(node, Threshold))
    return any(name in FLOWING for name in counted(thresholds))


def _sorted(fields: set[Field]) -> list[Field]:
    return sorted(fields, key=lambda field: field.path)


def _facts(act: Act) -> int:
    lists = (act.objects, act.tables, act.columns_read, act.columns_written, act.functions)
    return sum(map(len, lists))


def _outcome(matched: Sequence[CelRule]) -> _Outcome:
    """Combine the rules that matched: deny over hold over allow, alerts besides."""
    alerts = tuple(Alert(rule.name, rule.message) for rule in matched if rule.then.effect == "alert")
    for rule in matched:
        if rule.then.effect == "deny":
            reason = rule.message or _DEFAULT["deny"]
            return _Outcome(Decision(Effect.DENY, rule.name, reason, alerts=alerts))
    obligations: dict[str, object] = {}
    demanding = ""
    for rule in matched:
        if demands := rule.then.obligations:
            obligations, demanding = stricter(obligations, demands), demanding or rule.name
    questions = tuple(Question(rule.name, rule.then.hold, rule.message) for rule in matched if rule.then.hold)
    if questions:
        decision = Decision(Effect.HOLD, questions[0].rule, words(questions), obligations, alerts=alerts)
        return _Outcome(decision, questions)
    if not obligations and not alerts:
        return _Outcome(ALLOW)
    return _Outcome(Decision(Effect.ALLOW, demanding, "", obligations, alerts=alerts))
