"""Answers are put together from what `recgate show --json --rows` prints."""

from recgate_demo.answers import Result, entry_number, result_of, table

ENTRIES = [
    {"n": 4, "kind": "rows", "columns": ["name", "ssn"], "rows": [["Ada", "219-09-9999"], ["Luca", None]]},
    {"n": 4, "kind": "rows", "columns": ["name", "ssn"], "rows": [["Elif", "123-45-6789"]]},
    {"n": 4, "kind": "sql", "text": "SELECT name, ssn FROM customers", "rows": 3},
    {"n": 4, "part": 1, "kind": "rows", "columns": ["count"], "rows": [["12"]]},
    {"n": 4, "part": 1, "kind": "sql", "text": "SELECT count(*) FROM customers", "rows": 1},
    {"n": 9, "kind": "sql", "text": "CREATE DATABASE x"},
]


def test_rows_of_one_statement_are_put_together():
    assert result_of(ENTRIES, 4) == Result(
        ("name", "ssn"), (("Ada", "219-09-9999"), ("Luca", None), ("Elif", "123-45-6789"))
    )


def test_statements_of_one_message_are_told_apart():
    assert result_of(ENTRIES, 4, 1) == Result(("count",), (("12",),))


def test_a_statement_without_rows_has_no_result():
    assert result_of(ENTRIES, 9) is None


def test_an_entry_is_named_as_show_takes_it():
    assert [entry_number(entry) for entry in ENTRIES] == ["4", "4", "4", "4.1", "4.1", "9"]


def test_a_table_is_aligned_and_says_what_it_leaves_out():
    result = Result(("name", "note"), (("Ada", None), ("Bartholomew", "x" * 50), ("Luca", "")))

    assert table(result, 2) == [
        "name         note",
        "───────────  " + "─" * 40,
        "Ada          NULL",
        "Bartholomew  " + "x" * 39 + "…",
        "… and 1 more",
    ]


def test_a_value_cannot_act_on_the_terminal():
    assert table(Result(("a",), (("\x1b[2Jgone\n",),)), 5)[-1] == "·[2Jgone·"


def test_lines_of_a_copy_have_no_names():
    copied = Result((), (("1\tAda",), ("2\tBruno",), ("3\tCid",)))

    assert table(copied, 2) == ["1·Ada", "2·Bruno", "… and 1 more"]
