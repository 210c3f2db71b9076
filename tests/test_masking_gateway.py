"""Masks of the shipped gateway: a canary in a table reaches neither client nor recording, index, log or export."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

CANARY = "canary.4711@example.org"
CARD = "4111111111111111"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        place = f"host={running.host} port={running.port} user=scram_user dbname=postgres sslmode=disable"
        with psycopg.connect(place, password=PASSWORD, autocommit=True) as connection:
            connection.execute("create table customers (id int, mail text, card bigint)")
            connection.execute(
                "insert into customers values (1, %s, %s), (2, 'nobody', 7)", (CANARY, int(CARD))
            )
        yield running


def configuration(cluster: Cluster) -> dict[str, object]:
    return {
        "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}],
        "targets": [
            {
                "name": name,
                "protocol": "postgres",
                "address": f"127.0.0.1:{cluster.port}",
                "options": {"database": "postgres", "tls": "disable"},
                "credential": "local:db",
                "labels": labels,
                "allow": ["group:staff"],
            }
            for name, labels in (("prod-db", {"data": "pii"}), ("open-db", {}))
        ],
        "masks": [
            {
                "name": "pii",
                "detect": ["email", "credit_card"],
                "targets": {"data": "pii"},
                "except": ["group:privacy"],
                "with": {"keep_last": 4},
            }
        ],
        "recording": {"index_values": True},
    }


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path, configuration(cluster))
    process.run("user", "add", "alice", "--group", "staff")
    process.run("user", "add", "petra", "--group", "staff", "--group", "privacy")
    process.run("secret", "set", "db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n")
    with process:
        yield process


def ask(gate: GatewayProcess, user: str = "alice", target: str = "prod-db") -> list[tuple[object, ...]]:
    with psycopg.connect(
        host="127.0.0.1",
        port=gate.port("postgres"),
        user=target,
        password=gate.token(user),
        sslmode="disable",
    ) as connection:
        return connection.execute("select id, mail, card from customers order by id").fetchall()


def test_a_canary_reaches_nobody_and_is_nowhere_afterwards(gate: GatewayProcess) -> None:
    assert ask(gate) == [(1, "*******************.org", 1111), (2, "nobody", 7)]
    gate.until(lambda: gate.rows("sessions", "--json")[0]["status"] == "sealed", "the session is sealed")

    (session,) = gate.rows("sessions", "--json")
    assert session["masked"] == 2
    entries = gate.rows("show", str(session["id"]), "--json", "--rows")
    notes = [(entry["rule"], entry["place"], entry["count"]) for entry in entries if entry["kind"] == "mask"]
    assert notes == [("pii.email", "mail", 1), ("pii.credit_card", "card", 1)]
    shown = gate.run("show", str(session["id"]), "--rows")
    assert "pii.email \N{MULTIPLICATION SIGN}1" in shown
    assert "*******************.org" in shown
    assert [hit["session"] for hit in gate.rows("search", "rule:pii.email", "--json")] == [session["id"]]
    gate.run("verify", "--all")
    gate.stop()

    haystack = [gate.log(), shown, json.dumps(entries)]
    haystack += [path.read_bytes().decode("latin-1") for path in gate.data_dir.rglob("*") if path.is_file()]
    assert not [text for text in haystack if "canary.4711" in text or CARD in text]
    # Last: what somebody looks for is told in the audit trail.
    assert gate.command("search", "canary.4711").returncode == 1


def test_whom_the_mask_spares_and_what_it_does_not_cover_is_as_it_is(gate: GatewayProcess) -> None:
    assert ask(gate, "petra") == [(1, CANARY, int(CARD)), (2, "nobody", 7)]
    assert ask(gate, "alice", "open-db") == [(1, CANARY, int(CARD)), (2, "nobody", 7)]
    assert ask(gate, "petra", "open-db") == [(1, CANARY, int(CARD)), (2, "nobody", 7)]


def test_a_reload_changes_masks_for_sessions_that_open_then(gate: GatewayProcess, cluster: Cluster) -> None:
    config = configuration(cluster)
    (mask,) = config["masks"]  # type: ignore[misc]
    gate.configure({**config, "masks": [{**mask, "with": "hash"}]})

    os.kill(gate.pid, signal.SIGHUP)
    gate.until(lambda: ask(gate)[0][1] != "*******************.org", "the mask has changed")

    first, second = ask(gate), ask(gate)
    assert first == second
    assert len(str(first[0][1])) == 16
    assert isinstance(first[0][2], int)
    assert first[1] == (2, "nobody", 7)
