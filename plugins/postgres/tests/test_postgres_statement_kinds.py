"""Every kind of statement that the grammar has is read by somebody, and the table shows how."""

from __future__ import annotations

import pytest
from postgast.pg_query_pb2 import Node

from plugins.postgres.tests.acting import said
from plugins.postgres.tests.test_postgres_acts import TEXTS
from recgate_postgres import calls, changing, utility
from recgate_postgres.acts import OPAQUE, read_strictly
from recgate_postgres.bodies import define_function
from recgate_postgres.grammar import messages, syntax
from recgate_postgres.reading import Reader

# No text gives these by themselves.
_PARTS = {"CreateStmt", "PLAssignStmt", "ReturnStmt", "SetOperationStmt", "RawStmt"}


def kinds(texts: list[str]) -> set[str]:
    found: set[str] = set()
    for text in texts:
        for each in syntax(text) or ():
            found |= each.get("stmt", {}).keys()
    return found


def test_every_reader_is_shown_in_the_table():
    assert {**changing.STATEMENTS, **utility.STATEMENTS}.keys() <= kinds(TEXTS)


def test_most_kinds_of_the_grammar_are():
    known = {
        field.message_type.name
        for field in Node.DESCRIPTOR.fields
        if field.message_type is not None and field.name.endswith("_stmt")
    }
    assert len(known) > 100
    missing = known - kinds(TEXTS) - _PARTS
    assert len(missing) < 40, sorted(missing)


def test_a_statement_without_its_message_is_opaque():
    reader = Reader({}, utility.plain)
    assert reader.plain("DropStmt", {}, None).opaque
    others = messages("select 1")
    assert others is not None
    assert reader.plain("DropStmt", {}, others[0].stmt).opaque


def test_functions_that_touch_files_are_all_shown():
    shown = " ".join(TEXTS)
    assert [name for name in calls.FILES if name not in shown] == [
        "pg_ls_dir",
        "pg_read_file_old",
        "pg_stat_file",
    ]


def test_a_function_without_a_body_is_opaque():
    reader = Reader({}, utility.plain)
    part = reader.open("CREATE")
    define_function(reader, {"options": []}, part)
    assert part.opaque


@pytest.mark.parametrize("language", ["plpgsql", "PLPGSQL", '"C"', "plpython3u", "sql2"])
def test_a_body_in_another_language_is_opaque(language):
    (act,) = read_strictly(f"create function f() returns int language {language} as 'select 1'").acts
    assert said(act) == "CREATE | function f | opaque"


def test_texts_inside_of_texts_are_read_so_deep_and_no_deeper():
    text = "drop table t"
    for depth in range(3):
        text = f"create function f() returns void language sql as $x{depth}${text}$x{depth}$"
        assert "DROP | table t | t: t" in [said(act) for act in read_strictly(text).acts]
    acts = read_strictly(f"create function f() returns void language sql as $x${text}$x$").acts
    assert acts[-1].opaque
    assert OPAQUE[0] not in acts
