"""The shipped gateway reads catalogs: over its own connection, by its own credential, and says no where it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

SSN, HIDDEN = "078-05-1120", "*******1120"

SCHEMA = f"""
create table public.customers (id int, ssn text);
insert into public.customers values (1, '{SSN}');
create view public.people as select id, ssn as number from public.customers;
grant all on all tables in schema public to public;
create role reader login password 'reads';
create role nobody login password 'reads';
"""  # noqa: S608 - a constant


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=True, settings={"log_connections": "on"}) as running:
        running.psql(SCHEMA)
        yield running


def configuration(cluster: Cluster) -> dict[str, object]:
    options = {"database": "postgres", "tls": "verify-full", "ca": str(cluster.authority.path)}
    own = {"lent": None, "own": "local:reader", "wrong": "local:wrong", "missing": "local:nothing"}
    return {
        "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}],
        "targets": [
            {
                "name": name,
                "protocol": "postgres",
                "address": f"127.0.0.1:{cluster.port}",
                "options": options,
                "credential": "local:db",
                **({"catalog_credential": credential} if credential else {}),
                "labels": {"data": "pii"},
                "allow": ["group:staff"],
            }
            for name, credential in own.items()
        ],
        "masks": [
            {
                "name": "pii",
                "columns": ["customers.ssn"],
                "targets": {"data": "pii"},
                "with": {"keep_last": 4},
            }
        ],
    }


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gate"), configuration(cluster))
    process.run("user", "add", "alice", "--group", "staff")
    for name, user, password in (
        ("db", "scram_user", PASSWORD),
        ("reader", "reader", "reads"),
        ("wrong", "reader", "x"),
    ):
        process.run("secret", "set", name, "--username", user, "--password-stdin", stdin=password + "\n")
    with process:
        yield process


def ask(gate: GatewayProcess, target: str, *texts: str) -> list[object]:
    with psycopg.connect(
        host="127.0.0.1",
        port=gate.port("postgres"),
        user=target,
        password=gate.token("alice"),
        sslmode="disable",
        autocommit=True,
    ) as connection:
        found: list[object] = []
        for text in texts:
            cursor = connection.execute(text.encode())
            found.append(cursor.fetchall() if cursor.description else None)
        return found


@pytest.mark.parametrize(("target", "user"), [("lent", "scram_user"), ("own", "reader")])
def test_the_catalog_is_read_as_whom_the_target_says(
    gate: GatewayProcess, cluster: Cluster, target: str, user: str
) -> None:
    at = len(cluster.log.read_text())
    assert ask(gate, target, "select ssn from customers", "select number from people") == [
        [(HIDDEN,)],
        [(HIDDEN,)],
    ]
    logged = cluster.log.read_text()[at:]
    readers = [
        line for line in logged.splitlines() if "connection authorized" in line and "recgate catalog" in line
    ]
    assert len(readers) == 1  # for both statements
    assert f"user={user} " in readers[0]
    assert "SSL enabled" in readers[0]


def test_the_second_lease_is_given_back(gate: GatewayProcess) -> None:
    ask(gate, "lent", "select 1")
    assert not list((gate.data_dir / "leases").glob("*.survey*"))


def test_what_is_changed_through_the_gateway_is_seen_at_once(gate: GatewayProcess) -> None:
    made = "create view public.later as select 'x' as a", "select a from later"
    changed = "create or replace view public.later as select ssn as a from public.customers"
    try:
        assert ask(gate, "lent", *made) == [None, [("x",)]]
        assert ask(gate, "own", "select a from later") == [[("x",)]]
        assert ask(gate, "lent", changed, "select a from later")[1] == [(HIDDEN,)]
        assert ask(gate, "own", "select a from later") == [[(HIDDEN,)]]  # another target's name for the same
    finally:
        ask(gate, "lent", "drop view public.later")


@pytest.mark.parametrize("target", ["wrong", "missing"])
def test_where_it_cannot_be_read_nothing_is_shown_and_the_session_goes_on(
    gate: GatewayProcess, target: str
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="could not be read") as caught:
        ask(gate, target, "select ssn from customers")
    assert "reader" not in str(caught.value)
    assert ask(gate, target, "set application_name = 'x'") == [None]
    lines = (gate.data_dir / "audit.jsonl").read_text().splitlines()
    failed = [each for each in map(json.loads, lines) if each["event"] == "survey.failed"]
    (event, *_) = [each for each in failed if each["target"] == target]
    said = {"wrong": "refused the leased credential", "missing": "nothing"}[target]
    assert said in str(event["reason"])
    assert PASSWORD not in str(event)


def test_the_recording_has_the_question_and_no_client_saw_it(gate: GatewayProcess) -> None:
    ask(gate, "lent", "select ssn from customers")
    session = gate.rows("sessions", "--json")[0]
    gate.until(lambda: gate.rows("sessions", "--json")[0]["status"] == "sealed", "the session is sealed")
    entries = gate.rows("show", str(session["id"]), "--json", "--rows")
    assert [entry["text"] for entry in entries if entry["kind"] == "sql"] == ["select ssn from customers"]
    assert SSN not in str(entries)
    gate.run("verify", "--all")
