"""The rules as data: chosen by word, found behind their hints, and made of an operator's own patterns."""

import pytest

from recgate_detect.checks import CHECKS
from recgate_detect.corpus import corpus
from recgate_detect.engine import compiled
from recgate_detect.masker import ContentMasker
from recgate_detect.rules import builtin, deny_rule, expand, own_rule, unanchored, words


def test_each_rule_compiles_and_says_what_it_is_and_where_from():
    for rule in builtin().values():
        compiled(rule.hint)
        compiled(rule.pattern)
        assert rule.check in CHECKS.values()
        assert rule.shows
        assert rule.source


def test_a_group_stands_for_its_rules_and_each_comes_once():
    chosen = [rule.name for rule in expand(["aws_key", "token", "secret", "email"])]

    assert chosen[0] == "aws_key"
    assert chosen[-1] == "email"
    assert len(chosen) == len(set(chosen))
    assert {"jwt", "private_key", "github_token", "url_password"} <= set(chosen)
    assert {"secret", "token", "national_id", "email"} <= set(words())
    with pytest.raises(KeyError):
        expand(["emial"])


@pytest.mark.parametrize(
    "before", [b"", b"\0\0\0\x34", b"\0\0\0A", b"1", b"x", b"\xff", b"D\0\0\0\x14\0\x01\0\0\0\x13"]
)
def test_a_value_in_which_something_is_found_touches_a_hint_wherever_it_stands(before):
    masker = ContentMasker("m", list(builtin().values()))
    for sample in corpus(seed=7, each=20):
        found = list(masker.spans(sample.text, final=True))
        data = before + sample.text + b"9A"
        places = masker.hints(data)
        if found:
            last = len(before) + len(sample.text)
            assert any(begin < last and stop > len(before) for begin, stop in places), sample.text


@pytest.mark.parametrize(
    ("pattern", "bare"),
    [
        (r"\bEMP-[0-9]{6}\b", r"(?:)EMP-[0-9]{6}(?:)"),
        (r"^a$", r"(?:)a(?:)"),
        (r"[$^]x\$", r"[$^]x\$"),
        (r"[^$]", r"[^$]"),
        (r"[]^$]", r"[]^$]"),
        (r"[[:alpha:]$]\A\z", r"[[:alpha:]$](?:)(?:)"),
        (r"\Q^$\b\E$", r"\Q^$\b\E(?:)"),
        (r"[\]^$]^", r"[\]^$](?:)"),
    ],
)
def test_a_pattern_without_its_empty_assertions(pattern, bare):
    assert unanchored(pattern) == bare


def test_an_own_pattern_means_what_it_says_in_a_value_and_is_hinted_anywhere():
    masker = ContentMasker("m", [own_rule("employee", r"^EMP-[0-9]{6}$")])

    assert list(masker.spans(b"EMP-123456", final=True)) == [(0, 10, "employee")]
    assert list(masker.spans(b"xEMP-123456", final=True)) == []
    assert masker.hints(b"\0\0\0\nEMP-123456\0") != ()


def test_a_group_in_an_own_pattern_is_what_is_masked():
    masker = ContentMasker("m", [own_rule("pin", r"PIN: ([0-9]{4})")])

    assert list(masker.spans(b"PIN: 1234, PIN: 5678", final=True)) == [(5, 9, "pin"), (16, 20, "pin")]


def test_a_deny_list_is_words_in_capitals_or_not_and_no_parts_of_words():
    masker = ContentMasker("m", [deny_rule(["Project Falcon", "Müller", "a.c"])])

    found = [b"PROJECT FALCON"[start:end] for start, end, _ in masker.spans(b"PROJECT FALCON", final=True)]
    assert found == [b"PROJECT FALCON"]
    assert list(masker.spans("Frau MÜLLER".encode(), final=True)) == [(5, 12, "deny")]
    assert list(masker.spans(b"project falcons abc", final=True)) == []
    assert not masker.ascii
    assert ContentMasker("m", [deny_rule(["plain"])]).ascii
