"""How problems are written: file, line, key, what is wrong, remedy — and never more than one can read."""

import pytest

from recgate.config.problems import MAX_PROBLEMS, Problems, render_path, suggestion
from recgate.errors import ConfigurationError


def test_a_path_is_written_as_people_do():
    assert render_path(("targets", 0, "options", "tls")) == "targets[0].options.tls"
    assert render_path(()) == "(the file)"


def test_control_characters_of_a_key_do_not_reach_the_terminal():
    assert render_path(("a\x1b[2J\u202e",)) == "a?[2J?"


def test_the_word_that_was_meant_is_suggested():
    assert suggestion("listners", ["listeners", "targets"]) == "Did you mean `listeners`?"
    assert suggestion("zzz", ["b", "a"]) == "Known here: a, b."
    assert suggestion("zzz", []) == "Remove it."


def test_problems_come_in_the_order_of_lines_and_once():
    problems = Problems("f", {("a",): 9, ("b",): 2})
    problems.add(("a",), "is bad", "Mend it")
    problems.add(("a",), "is bad", "Mend it")
    problems.add(("b", "c"), "is missing")

    with pytest.raises(ConfigurationError) as refused:
        problems.finish()

    assert refused.value.problems == ["f:2: b.c: is missing.", "f:9: a: is bad. Mend it."]


def test_a_million_problems_are_not_all_told():
    problems = Problems("f")
    for n in range(MAX_PROBLEMS + 50):
        problems.add((f"k{n}",), "is bad")

    with pytest.raises(ConfigurationError) as refused:
        problems.finish()

    assert len(refused.value.problems) == MAX_PROBLEMS + 1
    assert refused.value.problems[-1] == "f: and 50 more."


def test_nothing_wrong_is_nothing_raised():
    Problems("f").finish()
