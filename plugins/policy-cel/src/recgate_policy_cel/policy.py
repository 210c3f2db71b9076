"""All rules of CEL as one policy: settled as far as they can be when a session opens, judged at every request."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from recgate.decisions import ALLOW, Decision
from recgate.dispatch import deny_overrides
from recgate.model import TargetInfo
from recgate.policy import acts_of
from recgate.policy.braking import Counted
from recgate.policy.examining import Finding
from recgate.policy.obligations import MAX_ROWS
from recgate.providers import PolicyRequest
from recgate.session import Session
from recgate_policy_cel.checking import check
from recgate_policy_cel.evaluation import name_of
from recgate_policy_cel.examining import examine
from recgate_policy_cel.judging import KindRules, Memory, Refusing, Remaining, remaining
from recgate_policy_cel.model import FIELDS, KINDS
from recgate_policy_cel.rules import CelRule
from recgate_policy_cel.tree import Condition, HasLabel, Label, Ref, Threshold, walk
from recgate_policy_cel.values import counted, fixed

__all__ = ["CelPolicy", "SessionRules"]

MAX_SETTLED: Final = 1_000  # different (principal, target, …) for which what is left is kept
MAX_KINDS: Final = 64  # a protocol has a handful
CARRIED: Final = (
    "file"  # the kind of acts that requests of other kinds may have besides: see `recgate.policy.Act`
)
_KIND: Final = name_of(Ref(FIELDS["request", "kind"]))

Leaf = Ref | Label | HasLabel | Threshold
Rules = Sequence[tuple[CelRule, Condition]]


class CelPolicy:
    """The rules of one configuration. `narrowed` gives what is left of them for a session."""

    def __init__(self, rules: Sequence[CelRule]) -> None:
        self._rules: Rules = [(rule, check(rule.when)) for rule in rules]
        nodes = (node for _, condition in self._rules for node in walk(condition))
        self._leaves: list[Leaf] = list(
            dict.fromkeys(node for node in nodes if isinstance(node, Ref | Label | HasLabel | Threshold))
        )
        self._memory = Memory()
        self._settled: OrderedDict[tuple[object, ...], _Settled] = OrderedDict()

    @property
    def name(self) -> str:
        """The word that a deny by exception names."""
        return "policies"

    def decide(self, request: PolicyRequest) -> Decision:
        """Judge a request whose session was not narrowed: the one that asks to open it."""
        return self._for(request.session).decide(request)

    def narrowed(self, session: Session) -> SessionRules | None:
        """Give what is left of the rules in a session that is open, or None if nothing is."""
        settled = self._for(session)
        return SessionRules(settled) if settled.concerns() else None

    def counters(self) -> Mapping[str, Sequence[int]]:
        """Give every counter of every rule: `narrowed` gives fewer."""
        found: dict[str, Sequence[int]] = dict(
            counted(each for each in self._leaves if isinstance(each, Threshold))
        )
        return (
            {**found, MAX_ROWS: ()}
            if any(MAX_ROWS in rule.then.obligations for rule, _ in self._rules)
            else found
        )

    def crossed(self, request: PolicyRequest, before: Counted) -> Decision:
        """Judge what a session that was not narrowed crosses."""
        return self._for(request.session).crossed(request, before)

    def findings(self, targets: Sequence[TargetInfo]) -> Sequence[Finding]:
        """Say what is odd about the rules, for `recgate policy check`."""
        return list(examine(self._rules, targets))

    def _for(self, session: Session) -> _Settled:
        known = fixed(self._leaves, session)
        key = tuple(known.values())  # of the same leaves, in their order
        found = self._settled.get(key)
        if found is None:
            found = self._settled[key] = _Settled(self._rules, known, self._memory)
            if len(self._settled) > MAX_SETTLED:
                self._settled.popitem(last=False)
        else:
            self._settled.move_to_end(key)
        return found


class _Settled:
    """What is left of the rules where principal, target and source are known: for each kind of request."""

    def __init__(self, rules: Rules, known: Mapping[str, object], memory: Memory) -> None:
        self._rules = rules
        self._memory = memory
        self._known = known
        self._kinds: dict[str, KindRules | Refusing | None] = {}

    def of(self, kind: str) -> KindRules | Refusing | None:
        """Give the rules for a kind of request, or None if none is left for it."""
        if kind not in self._kinds:
            if len(self._kinds) >= MAX_KINDS:
                self._kinds.clear()
            self._kinds[kind] = self._made(kind)
        return self._kinds[kind]

    def _made(self, kind: str) -> KindRules | Refusing | None:
        known = {**self._known, _KIND: kind}
        left: list[Remaining] = []
        for rule, condition in self._rules:
            try:
                found = remaining(rule, condition, known)
            except Exception as exc:  # noqa: BLE001 - a rule that cannot be settled denies what it may be about (law 3)
                return Refusing(rule.name, exc)
            if found is not None:
                left.append(found)
        return KindRules(left, self._memory) if left else None

    def concerns(self) -> bool:
        """Whether anything is left for requests in a session that is open, of whatever kind."""
        return any(self.of(kind) is not None for kind in (*KINDS, "") if kind != "session")

    def judges(self, kind: str) -> bool:
        """Whether any rule is left for requests of a kind, or for acts of another that they may bring with them."""
        return self.of(kind) is not None or (kind != CARRIED and self.of(CARRIED) is not None)

    def counters(self) -> Mapping[str, Sequence[int]]:
        """Give the counters that are gone by while a session is open."""
        found: dict[str, set[int]] = {}
        for kind in (*KINDS, ""):
            rules = self.of(kind) if kind != "session" else None
            for name, values in rules.counters().items() if rules is not None else ():
                found.setdefault(name, set()).update(values)
        return {name: sorted(values) for name, values in found.items()}

    def crossed(self, request: PolicyRequest, before: Counted) -> Decision:
        """Judge a crossing, as `decide` judges a request."""
        kind = request.request.kind
        kinds = {kind}
        if any(act.kind == CARRIED for act in acts_of(request.request)):
            kinds.add(CARRIED)
        return deny_overrides([_Crossing(self.of(each), each, before) for each in sorted(kinds)])(request)

    def decide(self, request: PolicyRequest) -> Decision:
        """Judge a request, every act by the rules of its kind."""
        kind = request.request.kind
        rules = self.of(kind)
        others = self.of(CARRIED) if kind != CARRIED else None
        if others is not None and any(act.kind == CARRIED for act in acts_of(request.request)):
            return deny_overrides([_Judge(rules, kind), _Judge(others, CARRIED)])(request)
        return ALLOW if rules is None else rules.decide(request, kind)


class _Judge:
    """The rules of one kind as a policy, to be combined with those of another."""

    name = "policies"

    def __init__(self, rules: KindRules | Refusing | None, kind: str) -> None:
        self._rules, self._kind = rules, kind

    def decide(self, request: PolicyRequest) -> Decision:
        return ALLOW if self._rules is None else self._rules.decide(request, self._kind)


class _Crossing:
    """The rules of one kind as a policy on what a request's answer crosses."""

    name = "policies"

    def __init__(self, rules: KindRules | Refusing | None, kind: str, before: Counted) -> None:
        self._rules, self._kind, self._before = rules, kind, before

    def decide(self, request: PolicyRequest) -> Decision:
        return ALLOW if self._rules is None else self._rules.crossed(request, self._kind, self._before)


class SessionRules:
    """The policy of one open session."""

    name = "policies"

    def __init__(self, settled: _Settled) -> None:
        self._settled = settled
        self.decide = settled.decide
        self.counters = settled.counters
        self.crossed = settled.crossed

    def judges(self, kind: str) -> bool:
        """Whether any rule is left for requests of a kind."""
        return self._settled.judges(kind)
