"""The vendor kit for policies finds what it is there to find: each promise, broken once."""

import pytest

from recgate.decisions import ALLOW, Decision, Effect
from recgate.policy import Act, acts_of
from recgate.sansio import Request
from recgate.testing.policies import PolicyContract, asked, sql

NO = Decision.deny("Not here.", rule="drops")


class Drops:
    """Denies DROP and whatever cannot be read."""

    name = "drops"

    def decide(self, request):
        if request.request.kind != "sql":
            return ALLOW
        return NO if any(act.opaque or act.verb == "DROP" for act in acts_of(request.request)) else ALLOW


class TestAPolicyThatKeepsIt(PolicyContract):
    refused = (sql(Act("DROP")), sql())
    allowed = (sql(Act("SELECT")), Request("shell", "DROP"))

    def make_policy(self):
        return Drops()


class First(Drops):
    def decide(self, request):
        return NO if acts_of(request.request)[0].verb == "DROP" else ALLOW


class Clear(Drops):
    def decide(self, request):
        return NO if any(act.verb == "DROP" for act in acts_of(request.request)) else ALLOW


class Nameless(Drops):
    def decide(self, request):
        return Decision(Effect.DENY)


class Endless(Drops):
    def decide(self, request):
        return Decision(Effect.HOLD, "drops", "Wait.")


class Choosy(Drops):
    def decide(self, request):
        return {"sql": super().decide}[request.request.kind](request)


class Late(Drops):
    async def decide(self, request):
        return NO


BROKEN = [
    (First, "test_a_refused_act_is_refused_wherever_in_a_batch_it_stands", AssertionError),
    (Clear, "test_what_cannot_be_read_is_not_let_through_where_acts_are_refused", AssertionError),
    (Nameless, "test_what_it_refuses_is_refused_with_rule_and_reason", AssertionError),
    (Nameless, "test_what_it_does_not_speak_of_is_let_through", AssertionError),
    (Endless, "test_what_it_refuses_is_refused_with_rule_and_reason", AssertionError),
    (Choosy, "test_it_answers_about_every_kind_of_request", KeyError),
    (Late, "test_it_has_a_name_and_decides_synchronously", AssertionError),
]


@pytest.mark.parametrize(("policy", "promise", "raised"), BROKEN)
def test_a_broken_promise_is_seen(policy, promise, raised):
    contract = TestAPolicyThatKeepsIt()
    contract.make_policy = policy

    with pytest.raises(raised):
        getattr(contract, promise)()


@pytest.mark.parametrize(
    "promise",
    [
        "what_it_refuses_is_refused_with_rule_and_reason",
        "what_it_does_not_speak_of_is_let_through",
    ],
)
def test_a_contract_that_names_nothing_fails(promise):
    with pytest.raises(pytest.fail.Exception, match="this contract needs"):
        getattr(PolicyContract(), f"test_{promise}")()


def test_a_question_has_what_policies_read():
    request = asked(sql(Act("DROP")), labels={"env": "test"}, target="test-db")

    assert (request.target.name, request.target.labels) == ("test-db", {"env": "test"})
    assert request.session.principal is request.principal
    assert [act.verb for act in acts_of(request.request)] == ["DROP"]
