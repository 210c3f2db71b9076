"""How long a recording is kept: the default, what labels say in its place, and doubt, which keeps."""

from __future__ import annotations

import pytest

from recgate.retention.rules import RetentionRules

DAY = 86_400.0
RULES = RetentionRules(400 * DAY, {"data": {"pii": 90 * DAY, "audit": 3650 * DAY}, "tier": {"test": 7 * DAY}})


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        ({}, 400),
        ({"data": "other"}, 400),
        ({"data": "pii"}, 90),
        ({"data": "audit"}, 3650),
        ({"tier": "test"}, 7),
        ({"data": "pii", "tier": "test"}, 90),
        ({"data": ""}, 400),
        (None, 3650),
    ],
)
def test_a_label_stands_in_place_of_the_default_and_the_longest_counts(labels, days):
    assert RULES.kept(labels) == days * DAY


def test_without_a_default_what_no_rule_names_is_kept_for_good():
    rules = RetentionRules(None, {"data": {"pii": 90 * DAY}})
    assert rules.kept({"data": "other"}) is None
    assert rules.kept({"data": "pii"}) == 90 * DAY
    assert rules.kept(None) is None
    assert rules.shortest == 90 * DAY


def test_no_rules_keep_everything():
    assert RetentionRules().kept({}) is None
    assert RetentionRules().kept(None) is None
    assert RetentionRules().shortest is None
    assert RetentionRules(5.0).kept(None) == 5.0
    assert RULES.shortest == 7 * DAY
