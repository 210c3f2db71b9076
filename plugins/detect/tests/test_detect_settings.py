"""The keys of a mask: what they stand for, and what is refused before anything is masked with it."""

import pytest
from pydantic import ValidationError

from recgate_detect.settings import ContentSettings


def test_rules_come_in_order():
    settings = ContentSettings(
        detect=("iban", "email"), patterns={"employee": "EMP-[0-9]+"}, deny=("falcon",)
    )

    assert [rule.name for rule in settings.rules()] == ["iban", "email", "employee", "deny"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "looks for nothing"),
        ({"detect": ("credit_cards",)}, "Did you mean `credit_card`"),
        ({"patterns": {"Bad Name": "x"}}, "lower-case"),
        ({"patterns": {"x": "(a|b"}}, "RE2"),
        ({"patterns": {"x": r"(a)\1"}}, "RE2"),
        ({"patterns": {"x": "^$"}}, "matches nothing at all"),
        ({"patterns": {"x": "a" * 2_000}}, "at most 1000"),
        ({"deny": ("x" * 300,)}, "at most 200"),
        ({"deny": ("a\0b",)}, "word or phrase"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(keys, expected):
    with pytest.raises(ValidationError, match=expected):
        ContentSettings(**keys)
