"""Doubt means deny: how several answers become one."""

from __future__ import annotations

from typing import cast

import pytest

from recgate.decisions import ALLOW, Alert, Decision, Effect
from recgate.dispatch import broadcast, deny_overrides, first_answer, pipeline
from recgate.errors import AccessDenied, AuthenticationFailed
from recgate.providers import PolicyRequest
from recgate.sansio.frames import CLIENT, Frame

REQUEST = cast("PolicyRequest", object())
DENY = Decision.deny("no", rule="deny-rule")
HOLD = Decision(Effect.HOLD, rule="hold-rule")


class Says:
    def __init__(self, answer: object) -> None:
        self.name = "says"
        self.answer = answer

    def decide(self, request: PolicyRequest) -> Decision:
        if isinstance(self.answer, Exception):
            raise self.answer
        return cast("Decision", self.answer)


@pytest.mark.parametrize(
    ("answers", "effect"),
    [
        ([], Effect.ALLOW),
        ([ALLOW], Effect.ALLOW),
        ([ALLOW, HOLD], Effect.HOLD),
        ([HOLD, DENY], Effect.DENY),
        ([DENY, HOLD, ALLOW], Effect.DENY),
        ([ALLOW, ValueError("secret detail")], Effect.DENY),
        ([ALLOW, None], Effect.DENY),
        ([Decision(cast("Effect", "maybe"))], Effect.DENY),
    ],
)
def test_deny_over_hold_over_allow_and_doubt_is_deny(answers: list[object], effect: Effect) -> None:
    assert deny_overrides([Says(answer) for answer in answers])(REQUEST).effect is effect


def test_an_exception_names_the_policy_and_not_what_it_said() -> None:
    decision = deny_overrides([Says(ValueError("secret detail"))])(REQUEST)
    assert "says" in decision.reason
    assert "secret detail" not in decision.reason


def test_a_request_that_cannot_be_judged_says_why_itself() -> None:
    decision = deny_overrides([Says(AccessDenied("client_encoding SJIS cannot be read"))])(REQUEST)
    assert (decision.effect, decision.reason) == (Effect.DENY, "client_encoding SJIS cannot be read")
    assert decision.rule == "says"


def test_obligations_of_all_allows_are_kept() -> None:
    one = Decision(Effect.ALLOW, obligations={"rows": 10})
    two = Decision(Effect.ALLOW, obligations={"read_only": True})
    assert deny_overrides([Says(one), Says(two)])(REQUEST).obligations == {"rows": 10, "read_only": True}


async def test_the_first_that_answers_counts() -> None:
    async def ask(provider: object) -> object:
        return provider

    assert await first_answer([None, "second", "third"], ask) == "second"
    assert await first_answer([None], ask) is None


async def test_a_failure_is_not_overruled_by_a_laxer_source() -> None:
    async def ask(provider: str) -> str | None:
        if provider == "strict":
            raise AuthenticationFailed("bad signature")
        return "everybody"

    with pytest.raises(AuthenticationFailed):
        await first_answer(["strict", "lax"], ask)


def test_stages_run_in_order_and_none_is_none() -> None:
    def add(letter: bytes):
        def stage(frame: Frame) -> Frame:
            frame.data += letter
            return frame

        return stage

    assert pipeline([]) is None
    run = pipeline([add(b"1"), add(b"2")])
    assert run is not None
    assert run(Frame(CLIENT, "line", b"0")).data == b"012"


async def test_one_observer_failing_keeps_nobody_from_hearing() -> None:
    heard, failed = [], []

    async def tell(name: str) -> None:
        if name == "broken":
            raise ValueError(name)
        heard.append(name)

    await broadcast(["a", "broken", "b"], tell, lambda name, exc: failed.append((name, type(exc))))
    assert heard == ["a", "b"]
    assert failed == [("broken", ValueError)]


def test_obligations_of_an_allow_stand_behind_a_hold() -> None:
    one = Decision(Effect.ALLOW, obligations={"rows": 10})
    assert deny_overrides([Says(one), Says(HOLD)])(REQUEST).obligations == {"rows": 10}


def test_alerts_of_those_that_were_asked_go_with_the_decision() -> None:
    seen = Decision(Effect.ALLOW, alerts=(Alert("seen"),))
    for last, effect in (
        (ALLOW, Effect.ALLOW),
        (HOLD, Effect.HOLD),
        (DENY, Effect.DENY),
        (None, Effect.DENY),
    ):
        decision = deny_overrides([Says(seen), Says(last)])(REQUEST)
        assert (decision.effect, decision.alerts) == (effect, (Alert("seen"),))
