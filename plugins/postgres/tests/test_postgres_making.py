"""What makes the server call functions, run programs or lend rights later is seen when it is made."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.acting import said
from recgate_postgres.acts import read
from recgate_postgres.origin.effects import alters, steps_of


@pytest.mark.parametrize(
    "text",
    [
        "create cast (text as int) with function run(text) as implicit",
        "create operator || (leftarg = int, rightarg = int, function = public.mine)",
        "create operator || (leftarg = int, rightarg = int, procedure = mine)",
        "create operator || (leftarg = tsquery, rightarg = text, function = ts_rewrite)",
        "create aggregate max (int, int) (sfunc = mine, stype = int)",
        "create type r as range (subtype = int, subtype_diff = mine)",
        "create operator class oc for type int using btree as function 1 mine(int, int)",
        "alter operator family of using btree add function 1 (int, int) mine(int, int)",
        "alter operator === (int, int) set (restrict = mine)",
        "create conversion c for 'UTF8' to 'LATIN1' from mine",
        "create language l handler mine",
        "create foreign data wrapper w handler mine",
        "alter foreign data wrapper w validator mine",
        "create access method am type index handler mine",
        "create transform for int language l (from sql with function mine(internal))",
        "alter function run(text) rename to upper",
        "alter routine run rename to initcap",
        "alter aggregate anuke(int) rename to max",
        "alter type evil rename to int4",
        "alter system set archive_command = 'touch x'",
        "alter system set Session_Preload_Libraries = 'x'",
        "alter role all set session_preload_libraries = 'x'",
        "alter database d set local_preload_libraries = 'x'",
    ],
)
def test_what_will_run_and_is_not_shown_is_opaque(text: str) -> None:
    assert any(act.opaque for act in read(text).acts)


@pytest.mark.parametrize(
    "text",
    [
        "create cast (text as mood) with inout",
        "create operator === (leftarg = int, rightarg = int, function = int4eq, restrict = eqsel)",
        "create aggregate product (int) (sfunc = int4mul, stype = int)",
        "alter function run(text) rename to walk",
        "alter type mood rename to moods",
        "alter table t rename to upper",
        "alter system set work_mem = '8MB'",
        "alter role bob set search_path = x",
        "alter system reset all",
    ],
)
def test_what_is_harmless_is_not(text: str) -> None:
    assert not any(act.opaque for act in read(text).acts)


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("alter default privileges grant select on tables to bob", "GRANT | role bob"),
        ("alter default privileges revoke select on tables from public", "REVOKE | role public"),
        ("alter group g add user bob", "GRANT | role bob"),
        ("alter group g drop user bob", "REVOKE | role bob"),
        ("create role r in role pg_execute_server_program", "GRANT | role pg_execute_server_program"),
        ("create user u admin bob", "GRANT | role bob"),
        (
            "create foreign table ft (a text) server s options (program 'id')",
            "READ (file) | program id | t: ft",
        ),
        (
            "create foreign table ft (a text) server s options (filename '/x')",
            "READ (file) | file /x | t: ft",
        ),
        ("alter foreign table ft options (set program 'id')", "READ (file) | program id | t: ft"),
    ],
)
def test_what_lends_rights_or_reaches_files_is_an_act_of_its_own(text: str, then: str) -> None:
    assert then in [said(act) for act in read(text).acts]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("update pg_proc set prosrc = 'x'", True),
        ("with u as (delete from pg_catalog.pg_rewrite returning 1) select * from u", True),
        ("copy pg_class from stdin", True),
        ("update t set a = (select 1 from pg_class)", False),
        ("select * from pg_proc", False),
    ],
)
def test_who_writes_to_the_catalog_changes_what_names_mean(text: str, changes: bool) -> None:
    assert [alters(step) for step in steps_of(text)] == [changes]
