"""The file of safe functions says what the real servers have, and nothing that would give values away is in it."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.safe_names import EFFECT, HARMLESS, PATH, READING, lines
from recgate_postgres.builtin import functions
from recgate_postgres.origin.safe import Safe, safe


def test_the_file_is_what_the_servers_have(debian, wheel):
    assert PATH.read_text().splitlines() == lines(debian, wheel), (
        "run: python -m plugins.postgres.tests.safe_names"
    )


@pytest.mark.parametrize(
    "name",
    [
        "query_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "cursor_to_xml", "ts_stat", "pg_read_file",
        "pg_read_binary_file", "lo_import", "lo_export", "pg_logical_slot_get_changes", "pg_logical_slot_peek_changes",
        "currtid2", "dblink", "binary_upgrade_set_missing_value", "plpgsql_call_handler", "pg_import_system_collations",
    ],
)  # fmt: skip
def test_what_reads_or_writes_elsewhere_is_not_in_it(name):
    assert safe(name) is None


def test_what_is_in_it():
    assert safe("initcap") == Safe(effect=False, columns=())
    assert safe("set_config") == Safe(effect=True, columns=())
    assert safe("json_each") == Safe(effect=False, columns=("key", "value"))
    assert safe("unnest") == Safe(effect=False, columns=None)
    assert safe("information_schema._pg_expandarray") == Safe(effect=False, columns=("x", "n"))
    assert safe("_pg_expandarray") is None


def test_every_name_read_by_hand_exists():
    assert not {*HARMLESS, *EFFECT, *READING} - functions().keys() - {"cursor_to_xml_and_xmlschema"}
    assert not HARMLESS & EFFECT
