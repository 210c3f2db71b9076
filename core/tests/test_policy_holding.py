"""Whoever is asked about a held request decides; no answer, a failure and nonsense are a no."""

import pytest
import trio
import trio.testing

from core.tests.test_session import make
from recgate.decisions import ALLOW, Decision, Effect
from recgate.policy.effects import Hold
from recgate.policy.holding import GRACE, Question, waiting, words
from recgate.providers import PolicyRequest
from recgate.sansio.frames import Request

LEADS = Question("unbounded", Hold(approvers=("group:leads",), timeout=60.0), "Deletes all.")
TWO = Question("four-eyes", Hold(approvers=("user:a", "user:b"), timeout=7_200.0, of=2))


class Says:
    """Answers each question with the next of its answers, and remembers what it was asked."""

    def __init__(self, *answers: object) -> None:
        self.answers, self.asked = list(answers), []

    async def ask(self, request, rule, approvers, within, of):
        await trio.lowlevel.checkpoint()
        self.asked.append((request.request.text, rule, approvers, within, of))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer == "never":
            await trio.sleep_forever()
        return answer


def held(approver, *questions):
    session, _ = make()
    session.approver = approver
    return waiting(
        PolicyRequest(Request("sql", "delete"), session.principal, session.target, session), questions
    )


def test_the_words_say_who_can_approve_and_for_how_long():
    assert LEADS.words == "Deletes all. (waits for approval by group:leads, for at most 1 min)"
    assert TWO.words == "waits for approval by 2 of user:a, user:b, for at most 2 h"
    assert words([LEADS, TWO]) == f"{LEADS.words}; {TWO.words}"
    assert Question("r", Hold(approvers=("user:a",), timeout=0.5)).words.endswith("for at most 0.5 s")


def test_without_anybody_to_ask_there_is_nothing_to_wait_for():
    assert held(None, LEADS) is None


async def test_every_question_must_be_answered_with_a_yes():
    says = Says(ALLOW, Decision(Effect.ALLOW, "four-eyes", "by a and b"))
    wait = held(says, LEADS, TWO)
    assert wait is not None
    assert (await wait()).reason == "by a and b"
    assert says.asked == [
        ("delete", "unbounded", ("group:leads",), 60.0, 1),
        ("delete", "four-eyes", ("user:a", "user:b"), 7_200.0, 2),
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Decision.deny("not today", rule="unbounded"), "not today"),
        (ValueError("secret detail"), "the approval failed"),
        (None, "nobody decided within 1 min"),
        (True, "nobody decided within 1 min"),
        (Decision(Effect.HOLD), "nobody decided within 1 min"),
    ],
)
async def test_anything_but_a_yes_is_a_no_and_ends_the_asking(answer, words):
    says = Says(answer)
    wait = held(says, LEADS, TWO)
    assert wait is not None
    decision = await wait()
    assert (decision.effect, decision.rule) == (Effect.DENY, "unbounded")
    assert words in decision.reason
    assert "secret" not in decision.reason
    assert len(says.asked) == 1


async def test_an_approver_that_never_answers_is_given_up(autojump_clock: trio.testing.MockClock):
    wait = held(Says("never"), LEADS)
    assert wait is not None
    began = trio.current_time()
    assert (await wait()).reason == "nobody decided within 1 min"
    assert trio.current_time() - began == 60.0 + GRACE
