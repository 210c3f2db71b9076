"""Sessions that may read alone, at real PostgreSQL: nothing that a client can say makes them write."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin, wheel_bin

RULES = [
    {"name": "reading", "when": '"readers" in principal.groups', "then": {"allow": {"read_only": True}}},
    {"name": "late", "when": 'request.kind == "sql" && request.verb == "SHOW"', "then": {"allow": {"read_only": True}}},
    {"name": "seen", "when": '"masked" in principal.groups', "then": {"allow": {"masks": ["pii"]}}},
]  # fmt: skip
# Not on any target by its labels: a rule alone brings it.
MASK = {"name": "pii", "detect": ["email"], "targets": {"env": "other"}}
# Each in turn, then a write: what the gateway refuses, PostgreSQL refuses, or what makes no difference.
TRIED = [
    "set default_transaction_read_only = off",
    "set session characteristics as transaction read write",
    "select set_config('default_transaction_read_only', 'off', false)",
    "update pg_settings set setting = 'off' where name = 'default_transaction_read_only'",
    "reset default_transaction_read_only",
    "reset all",
    "discard all",
    "select * from switch",
    "select query_to_xml('select set_config(''default_transaction_read_only'', ''off'', false)', true, true, '')",
    "do $$ begin perform set_config('default_transaction_read_only', 'off', false); end $$",
    "prepare p as select set_config('default_transaction_read_only', 'off', false)",
    "begin read write",
    "begin",
    "set transaction read write",
]


@pytest.fixture(scope="module", params=["15", "18"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(debian_bin() if request.param == "15" else wheel_bin(), tls=False) as running:
        place = f"host={running.host} port={running.port} user=scram_user dbname=postgres sslmode=disable"
        with psycopg.connect(place, password=PASSWORD, autocommit=True) as connection:
            connection.execute("create table written as select 'c@example.org' as mail")
            connection.execute(
                "create view switch as select set_config('default_transaction_read_only', 'off', false)"
            )
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    targets = [
        {
            "name": name,
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "labels": {"env": env},
            "credential": "local:db",
            "allow": ["group:staff"],
        }
        for name, env in (("db", "prod"), ("other", "other"))
    ]
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"}]
    process = GatewayProcess(
        tmp_path_factory.mktemp("gate"),
        {"listeners": listeners, "targets": targets, "policies": RULES, "masks": [MASK]},
    )
    for name, group in (("rita", "readers"), ("mona", "masked"), ("otto", "others")):
        process.run("user", "add", name, "--group", "staff", "--group", group)
    process.run("secret", "set", "db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n")
    with process:
        yield process


@cache
def token(gate: GatewayProcess, user: str) -> str:
    """One for all of a user's connections: issuing one costs a process, and there are a hundred connections."""
    return gate.token(user)


def connect(gate: GatewayProcess, user: str, **more: Any) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user="db", password=token(gate, user),
        sslmode="disable", autocommit=True, **more,
    )  # fmt: skip


def tried(connection: psycopg.Connection[Any], statement: str) -> str:
    try:
        connection.execute(statement.encode())
    except psycopg.Error as exc:
        return str(exc)
    return ""


@pytest.mark.parametrize(
    "options", ["", "-c default_transaction_read_only=off", "-c transaction_read_only=off"]
)
def test_nothing_makes_it_write(gate: GatewayProcess, options: str) -> None:
    for statement in TRIED:
        with connect(gate, "rita", options=options) as connection:
            tried(connection, statement)
            said = tried(connection, "insert into written values ('x')")
            assert said, statement
            if not connection.closed:
                connection.execute("rollback")
    with connect(gate, "otto") as connection:
        assert connection.execute("select count(*) from written").fetchone() == (1,)


def test_reading_goes_on_as_ever(gate: GatewayProcess) -> None:
    with connect(gate, "rita") as connection:
        assert connection.execute("select count(*) from written").fetchone() == (1,)
        assert connection.execute("show default_transaction_read_only").fetchone() == ("on",)
        with connection.transaction(), connection.cursor("c") as cursor:
            assert cursor.execute("select generate_series(1, 3)").fetchall() == [(1,), (2,), (3,)]
        said = tried(connection, "drop table written")
        assert said.startswith(
            "read-only: this session is read-only: DROP is more than reading (recgate session "
        )
        assert "read-only" in tried(connection, "do 'begin end'")


def test_a_session_that_began_without_cannot_be_held_to_it(gate: GatewayProcess) -> None:
    with connect(gate, "otto") as connection:
        assert tried(connection, "select 1") == ""
        said = tried(connection, "show search_path")
        assert said.startswith("late: this needs a session that is read-only from its opening")


def test_a_rule_brings_masks_that_the_target_does_not(gate: GatewayProcess) -> None:
    with connect(gate, "mona") as connection:
        assert connection.execute("select mail from written").fetchone() != ("c@example.org",)
    with connect(gate, "otto") as connection:
        assert connection.execute("select mail from written").fetchone() == ("c@example.org",)


def test_a_mask_that_there_is_not_refuses_the_configuration(tmp_path: Path) -> None:
    rule = {"name": "unseen", "when": "true", "then": {"allow": {"masks": ["nothing"]}}}
    wrong = GatewayProcess(tmp_path, {"policies": [rule]})
    assert "there is no mask `nothing`" in wrong.command("config", "check").stdout
