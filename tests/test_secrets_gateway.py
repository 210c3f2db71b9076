"""Secrets that are pasted where they do not belong: who did it is found; blocked, the value is nowhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd
from tests.test_ssh_gateway import SshGate

KEY = "AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="module", params=["watch", "block"])
def gate(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshGate]:
    with (
        Sshd(tmp_path_factory.mktemp("sshd")) as sshd,
        Cluster(debian_bin(), tls=False) as cluster,
    ):
        database = {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"127.0.0.1:{cluster.port}",
            "options": {"database": "postgres", "tls": "disable"},
            "credential": "local:prod-db",
            "allow": ["user:alice"],
        }
        listeners = [
            {"protocol": "ssh", "bind": "127.0.0.1:0"},
            {"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"},
        ]
        masks = [{"name": "secrets", "detect": ["secret"], "input": request.param}]
        directory = tmp_path_factory.mktemp("gate")
        running = SshGate(
            directory, sshd, listeners=listeners, targets=[sshd.target("prod-web"), database], masks=masks
        )
        with running:
            secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
            running.run(*secret, stdin=PASSWORD + "\n")
            running.how = request.param  # pyright: ignore[reportAttributeAccessIssue]
            yield running


def pasted(gate: SshGate) -> list[dict[str, Any]]:
    lines = (gate.data_dir / "audit.jsonl").read_text().splitlines()
    return [each for line in lines if (each := json.loads(line))["event"] == "secret.pasted"]


def everything(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def test_who_pasted_a_secret(gate: SshGate) -> None:
    blocked = gate.how == "block"  # pyright: ignore[reportAttributeAccessIssue]
    done = gate.ssh(f"echo {KEY} | wc -c")
    assert (b"secrets.aws_key: a secret stands in it" in done.stderr) is blocked
    done = gate.ssh("cat >/dev/null; echo end", stdin=f"{KEY}\n".encode())
    assert (done.stdout == b"end\n") is not blocked
    with psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user="prod-db", password=gate.token("alice"),
        sslmode="disable", autocommit=True,
    ) as connection:  # fmt: skip
        for query, binds in ((f"select length('{KEY}')", None), ("select length(%s)", (KEY,))):
            if blocked:
                with pytest.raises(psycopg.errors.InsufficientPrivilege, match="a secret stands in it"):
                    connection.execute(query.encode(), binds)
            else:
                assert connection.execute(query.encode(), binds).fetchone() == (len(KEY),)
        assert connection.execute("select 1").fetchone() == (1,)
    gate.until(lambda: len(pasted(gate)) == 4, "four secrets")
    assert [(each["place"], each["user"], each["rule"], each["blocked"]) for each in pasted(gate)] == [
        (place, "alice", "secrets.aws_key", blocked) for place in ("command", "stdin", "statement", "binds")
    ]
    gate.until(lambda: len(gate.rows("search", "secret:*")) == 4, "four hits")
    found = gate.rows("search", "secret:*")
    assert {(each["kind"], each["user"]) for each in found} == {("secret", "alice")}
    assert len(gate.rows("search", "secret:secrets.aws_key target:prod-db")) == 2
    shown = [each for each in gate.rows("show", found[0]["session"]) if each["kind"] == "secret"]
    assert shown[0]["rule"] == "secrets.aws_key"
    gate.run("verify", "--all")
    if blocked:
        for row in gate.rows("sessions"):
            told = [json.dumps(each) for each in gate.rows("show", row["id"]) if KEY in json.dumps(each)]
            assert told == []
        assert KEY.encode() not in everything(gate.data_dir)
