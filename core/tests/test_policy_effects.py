"""What `then:` may say, and that what nothing enforces is refused."""

import json

import pytest
from pydantic import ValidationError

from recgate.policy.effects import Demands, Hold, Then


@pytest.mark.parametrize(
    ("said", "effect", "obligations"),
    [
        ("allow", "allow", {}),
        ("deny", "deny", {}),
        ("alert", "alert", {}),
        ({"hold": {"approvers": ["group:leads", "user:bob"], "timeout": "90s", "of": 2}}, "hold", {}),
        ({"allow": {"session_time": "1h"}}, "allow", {"session_time": 3_600.0}),
        ({"allow": {"reason": "required"}}, "allow", {"reason": "required"}),
    ],
)  # fmt: skip
def test_a_word_or_a_map_is_one_effect(said, effect, obligations):
    then = Then.model_validate(said, context={"base": None})
    assert (then.effect, then.obligations) == (effect, obligations)
    assert Then.model_validate(then) == then


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Deny", "should be allow, deny, alert"),
        ("hold", "says who may approve"),
        ({}, "should be one word"),
        ({"deny": {}}, "should be one word"),
        ({"hold": {"approvers": ["group:a"]}, "allow": {"reason": "required"}}, "should be one word"),
        ({"hold": {"approvers": []}}, "at least 1 item"),
        ({"hold": {"approvers": ["group: a"]}}, "blanks around"),
        ({"hold": {"approvers": ["group:a\u202eb"]}}, "unprintable"),
        ({"hold": {"approvers": ["everybody"]}}, "`user:NAME` or `group:NAME`"),
        ({"hold": {"approvers": ["user:a", "user:a"], "of": 2}}, "can never be met by 1 users"),
        ({"hold": {"approvers": ["group:a"], "timeout": "0s"}}, "greater than 0"),
        ({"hold": {"approvers": ["group:a"], "timeout": "25h"}}, "less than or equal to 86400"),
        ({"hold": {"approvers": ["group:a"], "of": 0}}, "greater than or equal to 1"),
        ({"allow": {"reason": "maybe"}}, "'required'"),
        ({"allow": {"session_time": "0s"}}, "greater than 0"),
        ({"allow": {"read_only": False}}, "Input should be True"),
        ({"allow": {"max_rows": -1}}, "greater than or equal to 0"),
        ({"allow": {"masks": []}}, "at least 1 item"),
        ({"allow": {"masks": ["a b"]}}, "should match pattern"),
        ({"allow": {"row_limit": 1}}, "Extra inputs"),
        (7, "valid dictionary"),
    ],
)
def test_what_is_no_effect_is_refused(said, words):
    with pytest.raises(ValidationError) as refused:
        Then.model_validate(said, context={"base": None})
    assert words in str(refused.value)


def test_the_schema_is_what_people_write():
    schema = json.dumps(Then.model_json_schema())
    assert '"enum": ["allow", "deny", "alert"]' in schema
    assert "session_time" in json.dumps(Demands.model_json_schema())
    assert Hold(approvers=("group:a",)).timeout == 600.0
