"""Originals of the shipped gateway, with real clients: sealed where nobody reads them, opened by two people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

CANARY = "canary.4711@example.org"
SSN = "078-05-1120"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        place = f"host={running.host} port={running.port} user=scram_user dbname=postgres sslmode=disable"
        with psycopg.connect(place, password=PASSWORD, autocommit=True) as connection:
            connection.execute("create table people (id int, mail text, ssn text)")
            connection.execute("insert into people values (1, %s, %s), (2, 'nobody', null)", (CANARY, SSN))
        yield running


def configuration(cluster: Cluster, holders: list[str]) -> dict[str, object]:
    return {
        "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}],
        "targets": [
            {
                "name": "prod-db",
                "protocol": "postgres",
                "address": f"127.0.0.1:{cluster.port}",
                "options": {"database": "postgres", "tls": "disable"},
                "credential": "local:db",
                "catalog_credential": "local:db",
                "allow": ["group:staff"],
            }
        ],
        "masks": [
            {"name": "pii", "detect": ["email"], "with": "redact"},
            {"name": "origin", "columns": ["people.ssn"], "with": "redact"},
        ],
        "recording": {"index_values": True, "originals": {"seal_to": holders, "threshold": 2}},
        "observers": [{"jsonl": {}}],
    }


class Ground:
    """A gateway, two people with a key each, and a third one whose key is not needed."""

    def __init__(self, place: Path, cluster: Cluster) -> None:
        self.place = place
        (place / "gate").mkdir()
        self.gate = GatewayProcess(place / "gate", {})
        self.public = [self.gate.run("auditor", "new", "-o", str(self.key(name))).strip() for name in "abc"]
        self.gate.configure(configuration(cluster, self.public))
        for user in ("alice", "bob", "clara"):
            self.gate.run("user", "add", user, "--group", "staff")
        self.gate.run(
            "secret", "set", "db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n"
        )

    def key(self, name: str) -> Path:
        return self.place / f"{name}.key"

    def psql(self, sql: str) -> str:
        line = f"host=127.0.0.1 port={self.gate.port('postgres')} user=prod-db sslmode=disable"
        env = {"PGPASSWORD": self.gate.token("alice"), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            ["psql", "-XAt", line, "-c", sql], env=env, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def sealed(self) -> str:
        self.gate.until(
            lambda: self.gate.rows("sessions", "--json")[0]["status"] == "sealed", "the session is sealed"
        )
        return str(self.gate.rows("sessions", "--json")[0]["id"])

    def masks(self, session: str) -> list[dict[str, object]]:
        entries = self.gate.rows("show", session, "--json", "--rows")
        return [entry for entry in entries if entry["kind"] == "mask"]

    def permit(
        self, session: str, entry: object, user: str, holder: int, output: Path
    ) -> subprocess.CompletedProcess[str]:
        place = ["unseal", session, "--entry", str(entry), "-o", str(output)]
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "recgate",
                *place,
                "--why",
                "court order 17",
                "--holder",
                self.public[holder],
            ],
            env={
                **os.environ,
                "RECGATE_CONFIG": str(self.gate.config_file),
                "RECGATE_TOKEN": self.gate.token(user),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def ground(tmp_path: Path, cluster: Cluster) -> Iterator[Ground]:
    made = Ground(tmp_path, cluster)
    with made.gate:
        yield made


def test_two_people_open_what_was_masked_and_nobody_else_sees_it(ground: Ground) -> None:
    gate, place = ground.gate, ground.place
    shown = ground.psql("select id, mail, ssn from people order by id")
    assert CANARY not in shown
    assert SSN not in shown
    session = ground.sealed()
    masks = ground.masks(session)
    assert {(mask["rule"], mask["place"]) for mask in masks} == {
        ("pii.email", "mail"),
        ("origin.people.ssn", "ssn"),
    }
    assert "complete" in gate.run("verify", session)

    for mask, expected in zip(masks, (CANARY, SSN), strict=True):
        entry = str(mask["n"])
        for n, user in enumerate(("bob", "clara")):
            permit = ground.permit(session, entry, user, n, place / f"{entry}.{n}.permit")
            assert permit.returncode == 0, permit.stderr
        common = ["unseal", session, "--entry", entry, "--store", str(gate.data_dir / "recordings")]
        first = [*common, "--identity", str(ground.key("a")), "--permit", str(place / f"{entry}.0.permit")]
        second = [*common, "--identity", str(ground.key("b")), "--permit", str(place / f"{entry}.1.permit")]
        alone = gate.command(*second)
        assert alone.returncode == 1
        assert "takes 2 people" in alone.stderr
        gate.run(*first, "--to", ground.public[1], "-o", str(place / f"{entry}.share"))
        opened = gate.run(*second, "--share", str(place / f"{entry}.share"), "--json")
        (original,) = [json.loads(line) for line in opened.splitlines()]
        assert original["text"] == expected or (expected == CANARY and original["text"] == SSN)

    gate.stop()
    files = [path for path in gate.data_dir.rglob("*") if path.is_file()]
    assert files
    for value in (CANARY, SSN):
        assert not [path for path in files if value.encode() in path.read_bytes()]
        assert value not in gate.log()
    acts = [json.loads(line) for line in (gate.data_dir / "audit.jsonl").read_text().splitlines()]
    permitted = [act for act in acts if act["event"] == "originals.permitted"]
    assert {act["by"] for act in permitted} == {"bob", "clara"}
    assert all(act["reason"] == "court order 17" for act in permitted)


def test_nobody_gets_a_second_persons_permit(ground: Ground) -> None:
    ground.psql("select mail from people")
    session = ground.sealed()
    entry = ground.masks(session)[0]["n"]
    assert ground.permit(session, entry, "bob", 0, ground.place / "one").returncode == 0
    second = ground.permit(session, entry, "bob", 1, ground.place / "two")
    assert second.returncode == 1
    assert "different people" in second.stderr
    nobody = ground.gate.command(
        "unseal", session, "--entry", str(entry), "--why", "x", "--holder", ground.public[2], "-o", "/nowhere"
    )
    assert nobody.returncode == 1
    assert "RECGATE_TOKEN" in nobody.stderr


def test_single_frames_are_proven_to_somebody_who_has_the_trust_file_alone(ground: Ground) -> None:
    gate = ground.gate
    ground.psql("select 'shown to the court'")
    session = ground.sealed()
    entries = gate.rows("show", session, "--json")
    (n,) = [
        entry["n"]
        for entry in entries
        if entry["kind"] == "sql" and "shown to the court" in json.dumps(entry)
    ]
    proof = ground.place / "proof"
    gate.run("export", session, "--format", "proof", "--frames", str(n), "-o", str(proof))
    trust = ["--trust", str(gate.data_dir / "trust.json")]
    (said,) = gate.rows("verify", str(proof), "--json", *trust)
    assert (said["status"], said["session"]) == ("proven", session)
    assert b"alice" not in proof.read_bytes()
    assert "1 frames of session" in gate.run("verify", str(proof), *trust)

    proof.write_bytes(proof.read_bytes().replace(b"shown to the court", b"shown to the cause"))
    altered = gate.command("verify", str(proof), *trust)
    assert altered.returncode == 1
    assert "is not what was sealed in that place" in altered.stdout
