"""What is checked is written out anew for the library, which must read it as it was meant."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate_policy_cel.checking import check
from recgate_policy_cel.evaluation import Program, name_of
from recgate_policy_cel.model import FIELDS
from recgate_policy_cel.syntax import parse
from recgate_policy_cel.tree import Compare, Constant, Ref, Threshold

VERB, TABLES, TEXT = (Ref(FIELDS["request", name]) for name in ("verb", "tables", "text"))


def run(text: str, values: dict[str, object]) -> bool:
    return Program.of(check(text))({f"request_{name}": value for name, value in values.items()})


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_string_reaches_the_library_as_itself(text):
    program = Program.of(Compare("==", VERB, Constant(text)))
    assert program({"request_verb": text})
    assert not program({"request_verb": text + "x"})


@given(st.integers(-(1 << 63) + 1, (1 << 63) - 1))
def test_any_number_reaches_the_library_as_itself(number):
    program = Program.of(Compare("==", Ref(FIELDS["request", "port"]), Constant(number)))
    assert program({"request_port": number})


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ('request.verb in ["DROP", "ALTER"]', {"verb": "ALTER"}, True),
        ('request.verb == "drop"', {"verb": "DROP"}, False),
        ('request.tables.exists(t, t.startsWith("a."))', {"tables": ("b.x", "a.x")}, True),
        ('request.tables.exists(t, t.startsWith("a."))', {"tables": ()}, False),
        ('request.tables.all(t, t == "x")', {"tables": ()}, True),
        ('request.tables.all(t, t.matches("^a"))', {"tables": ("ab", "b")}, False),
        ("size(request.text) == 2 && request.tables.size() == 1", {"text": "éa", "tables": ("a",)}, True),
        (r'request.text.matches(r"(?i)\bdrop\b")', {"text": "please DROP it"}, True),
        (
            'request.text.endsWith("b") ? request.verb == "A" : request.verb == "B"',
            {"text": "a", "verb": "B"},
            True,
        ),
        ('!(request.verb < "M") || false', {"verb": "Z"}, True),
        ('"public.a" in request.tables', {"tables": ("public.a",)}, True),
    ],
)
def test_conditions_are_what_they_say(text, values, result):
    assert run(text, values) is result


def test_a_value_that_is_no_text_is_an_error_and_no_answer():
    with pytest.raises(ValueError, match="Conversion"):
        run('request.verb == "a"', {"verb": "\ud800"})
    with pytest.raises(TypeError):
        Program.of(VERB)({"request_verb": "a"})


def test_names_of_different_things_differ():
    thresholds = [
        Threshold(FIELDS["session", "hour"], op, value)
        for op in ("<", "<=", ">", ">=", "==", "!=")
        for value in (1, -1, 12)
    ]
    thresholds += [Threshold(FIELDS["session", "hour"], "in", value) for value in ((1, 2), (12,), (1,))]
    names = [name_of(each) for each in thresholds]
    assert len(set(names)) == len(names)
    assert all(set(name) <= {*string.ascii_letters, *string.digits, "_"} for name in names)


def test_patterns_take_linear_time():
    program = Program.of(check('request.text.matches("^(a|aa)+$")'))
    assert not program({"request_text": "a" * (1 << 20) + "!"})
    assert parse("true") == parse("true")
