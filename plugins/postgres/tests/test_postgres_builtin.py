"""The file of built-in names says what the real servers say."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.builtin_names import PATH, lines
from recgate_postgres.builtin import INFORMATION, functions, operators


def test_the_file_is_what_the_servers_have(debian, wheel):
    assert PATH.read_text().splitlines() == lines(debian, wheel), (
        "run: python -m plugins.postgres.tests.builtin_names"
    )


@pytest.mark.parametrize("name", ["lower", "count", "pg_read_file", "lo_export", "set_config", "bernoulli"])
def test_functions_of_every_version(name):
    assert functions()[name] == 0


def test_what_one_version_alone_has():
    assert functions()["any_value"] == 18
    assert functions()["pg_read_file_old"] == 15
    assert "dblink" not in functions()
    assert operators()["@>"] == 0
    assert "<=>" not in operators()


def test_the_standards_schema_has_these_functions(debian, wheel):
    query = "SELECT proname FROM pg_proc WHERE pronamespace = 'information_schema'::regnamespace"
    for cluster in (debian, wheel):
        assert set(cluster.psql(query).splitlines()) == INFORMATION
