"""The comparison itself: it must see a difference, heed a reason, and miss a test that is gone."""

import tomllib

from tests.conformance.outcome import DIFFERENCES, explained, unexplained


def test_equal_outcomes_are_no_difference():
    assert unexplained({"a": "passed", "b": "failed"}, {"a": "passed", "b": "failed"}, {}) == []


def test_a_difference_is_named_with_both_outcomes():
    assert unexplained({"a": "passed"}, {"a": "failed"}, {}) == [
        "a: direct passed, through the gateway failed"
    ]
    assert unexplained({"a": "passed"}, {}, {}) == ["a: direct passed, through the gateway did not run"]
    assert unexplained({}, {"a": "passed"}, {}) == ["a: direct did not run, through the gateway passed"]


def test_a_reason_covers_its_own_test_only():
    direct, gateway = {"a": "passed", "b": "passed"}, {"a": "failed", "b": "failed"}

    assert [line.partition(":")[0] for line in unexplained(direct, gateway, {"a": "why"})] == ["b"]


def test_a_reason_whose_test_is_gone_is_a_difference():
    assert unexplained({"a": "passed"}, {"a": "passed"}, {"gone": "why"}) == [
        "gone: explained, but there is no such test"
    ]


def test_every_listed_difference_has_a_reason():
    for suite, tests in tomllib.loads(DIFFERENCES.read_text()).items():
        assert explained(suite) == tests
        for name, reason in tests.items():
            assert len(reason.split()) > 3, f"{suite}: {name} has no reason"
