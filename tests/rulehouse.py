"""Sessions and requests for tests of rules: alice of `dba` at `prod-db`, with everything that conditions speak of."""

from recgate.decisions import Decision
from recgate.model import ConnectionInfo, Principal, TargetInfo
from recgate.policy import Act
from recgate.providers import PolicyRequest
from recgate.sansio.frames import Request
from recgate.session import Session
from recgate.testing.fakes import MemoryRecorder
from recgate.testing.lineproto import LineTarget
from recgate_policy_cel.policy import CelPolicy
from recgate_policy_cel.rules import CelRule

__all__ = ["alice", "ask", "decide", "policy", "rule", "session", "sql"]

alice = Principal("corp", "17", "alice", frozenset({"dba", "sre"}), method="token", amr=frozenset({"mfa"}))


def rule(when: str, then: object = "deny", name: str = "r", **more: object) -> CelRule:
    return CelRule.model_validate({"name": name, "when": when, "then": then, **more})


def policy(*rules: CelRule | str) -> CelPolicy:
    return CelPolicy(
        [rule(each, name=f"r{n}") if isinstance(each, str) else each for n, each in enumerate(rules)]
    )


def session(principal: Principal = alice, labels: dict[str, str] | None = None, **more: object) -> Session:
    target = TargetInfo("prod-db", "postgres", "db.internal", 5432, LineTarget(), labels or {"env": "prod"})
    made = Session(
        id="0" * 26,
        principal=principal,
        target=target,
        connection=ConnectionInfo("postgres", "127.0.0.1:7", "10.1.2.3:5555"),
        recorder=MemoryRecorder(),  # pyright: ignore[reportArgumentType] - has the methods that sessions use
        decide=lambda request: Decision.deny("not narrowed"),
    )
    for name, value in more.items():
        setattr(made, name, value)
    return made


def ask(request: Request, of: Session | None = None) -> PolicyRequest:
    of = of or session()
    return PolicyRequest(request, of.principal, of.target, of)


def sql(*acts: Act, text: str = "select 1") -> Request:
    return Request("sql", text, details={"acts": acts or (Act("SELECT"),)})


def decide(rules: CelPolicy | str, request: Request, of: Session | None = None) -> Decision:
    found = policy(rules) if isinstance(rules, str) else rules
    asked = ask(request, of)
    whole, narrowed = found.decide(asked), found.narrowed(asked.session)
    if request.kind != "session":
        # What is left for a session never says anything else than the whole does.
        assert (narrowed.decide(asked) if narrowed else Decision(whole.effect)).effect is whole.effect
    return whole
