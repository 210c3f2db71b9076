"""How well each rule does on the labelled corpus: floors below which a change has made it worse."""

import pytest

from recgate_detect.corpus import corpus, measure

# What a check digit can tell is one in ten, or eleven, or twenty-three; everything else is held to more.
PRECISION = {
    "credit_card": 0.85,
    "pl_pesel": 0.85,
    "uk_nhs": 0.95,
    "nl_bsn": 0.9,
    "de_tax_id": 0.95,
    "fr_insee": 0.95,
}


@pytest.fixture(scope="module")
def measured():
    return {each.rule: each for each in measure(seed=20261124, each=150)}


def test_each_rule_finds_what_is_there(measured):
    assert {rule: each.recall for rule, each in measured.items() if each.recall < 0.99} == {}


def test_each_rule_leaves_alone_what_only_looks_like_it(measured):
    poor = {
        rule: each.precision for rule, each in measured.items() if each.precision < PRECISION.get(rule, 0.99)
    }

    assert poor == {}


def test_each_rule_is_in_the_corpus(measured):
    assert all(each.there == 150 for each in measured.values())


def test_the_corpus_is_the_same_for_the_same_seed():
    assert list(corpus(3, 5)) == list(corpus(3, 5))
    assert list(corpus(3, 5)) != list(corpus(4, 5))
