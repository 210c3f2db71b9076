"""YAML with lines: the plain core of 1.2, and bounded whatever is in the file."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.config.marks import MAX_DEPTH, MAX_FILE, read_yaml
from recgate.config.problems import Problems
from recgate.errors import ConfigurationError


def read(text: str):
    problems = Problems("f.yaml")
    return read_yaml(text, problems), problems


def refusal(text: str) -> str:
    _, problems = read(text)
    with pytest.raises(ConfigurationError) as refused:
        problems.finish()
    return str(refused.value)


def test_scalars_are_those_of_yaml_1_2():
    data, problems = read(
        "{a: off, b: yes, c: true, d: null, e: 010, f: 10:20, g: 1.5, h: '5', i: 0x1F, j: 2026-11-24}"
    )

    assert problems.found == []
    assert data == {
        "a": "off", "b": "yes", "c": True, "d": None, "e": 10, "f": "10:20", "g": 1.5, "h": "5", "i": "0x1F",
        "j": "2026-11-24",
    }  # fmt: skip


def test_every_key_and_item_knows_its_line():
    _, problems = read("a: 1\nb:\n  - x\n  - y: 2\n    z: 3\n")

    assert problems.lines[("a",)] == 1
    assert problems.lines[("b", 1)] == 4
    assert problems.lines[("b", 1, "z")] == 5
    assert problems.line_of(("b", 1, "z", "deeper")) == 5


def test_an_empty_file_is_an_empty_configuration():
    assert read("")[0] == {}
    assert read("# only a comment\n")[0] == {}


def test_a_key_that_stands_twice_is_refused_with_both_lines():
    text = refusal("a: 1\nb: 2\na: 3\n")

    assert text == "f.yaml:3: a: the key stands here twice, first on line 1. Keep one."


@pytest.mark.parametrize(
    "text",
    ["a: !!python/object/apply:os.system ['true']\n", "a: !!str 5\n", "a: !custom {}\n", "- !!set {a}\n"],
)
def test_tags_are_refused(text):
    assert "f.yaml:1: (the file): not readable as YAML: the tag " in refusal(text)


def test_aliases_work_as_whole_values():
    data, problems = read("a: &x [1, 2]\nb: *x\n")

    assert problems.found == []
    assert data == {"a": [1, 2], "b": [1, 2]}


def test_merge_keys_are_refused():
    assert "f.yaml:2: b.<<: merge keys are not part of YAML 1.2" in refusal("a: &x {k: 1}\nb: {<<: *x}\n")


def test_a_billion_laughs_are_not_laughed():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()

    assert "expand to more than a configuration can hold" in refusal("\n".join(lines))
    assert time.monotonic() - started < 20  # 10^12 nodes would take days


def test_a_node_that_holds_itself_is_refused():
    assert "expand to more" in refusal("a: &a [*a]\n")


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * (MAX_DEPTH + 1) + "x", "{a: " * 5_000])
def test_deep_nesting_is_refused_without_recursion(text):
    assert f"more than {MAX_DEPTH} levels of nesting" in refusal(text)


def test_a_long_file_is_refused_before_it_is_read():
    assert "longer than" in refusal("a" * (MAX_FILE + 1))


@pytest.mark.parametrize(
    "text", ["a: [1", "a: 'x", "\tb: 1", "a: b: c", "--- 1\n--- 2\n", "a: \x00", "? [a]\n: b\n"]
)
def test_what_is_no_yaml_is_one_problem_with_a_line(text):
    assert refusal(text).startswith("f.yaml:")


@given(st.text(max_size=200))
def test_any_text_gives_data_or_problems(text):
    data, problems = read(text)

    assert problems.found or isinstance(data, dict | list | str | int | float | bool | type(None))
