"""`recgate reconcile` on the logs of a real PostgreSQL and a real sshd: through the gateway, and past it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd
from tests.test_ssh_gateway import SshGate

FORMATS = {"stderr": "all.log", "csvlog": "all.csv", "jsonlog": "all.json"}
LOGS = {
    "log_connections": "on",
    "logging_collector": "on",
    "log_destination": "stderr,csvlog,jsonlog",
    "log_filename": "all.log",
    "log_line_prefix": "%m [%p] %u@%d %a ",
    "log_timezone": "Europe/Berlin",
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False, settings=LOGS) as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path, cluster: Cluster) -> Iterator[GatewayProcess]:
    target = cluster.target("prod-db", allow=["user:alice"])
    target["options"] = {"database": "postgres", "tls": "disable", "tag": True}
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0"}]
    process = GatewayProcess(tmp_path, {"listeners": listeners, "targets": [target]})
    process.run("user", "add", "alice")
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    with process:
        yield process


def through(gate: GatewayProcess) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user="prod-db", password=gate.token("alice"),
        sslmode="verify-full", sslrootcert=str(gate.data_dir / "ca.pem"), application_name="billing",
    ) as connection:  # fmt: skip
        assert connection.execute("SELECT 1").fetchone() == (1,)


def past(cluster: Cluster, name: str) -> None:
    with psycopg.connect(
        host="127.0.0.1", port=cluster.port, user="scram_user", password=PASSWORD, dbname="postgres",
        application_name=name,
    ) as connection:  # fmt: skip
        assert connection.execute("SELECT 1").fetchone() == (1,)


def sealed(gate: GatewayProcess, count: int) -> list[str]:
    gate.until(
        lambda: [row["status"] for row in gate.rows("sessions")] == ["sealed"] * count, "sealed sessions"
    )
    return sorted(str(row["id"]) for row in gate.rows("sessions"))


def reconciled(gate: GatewayProcess, *words: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Give the exit status, what was found, and the summary."""
    done = gate.command("reconcile", "--zone", "Europe/Berlin", "--json", *words)
    assert "Traceback" not in done.stderr
    *found, summary = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, found, summary


def fresh(cluster: Cluster, directory: Path, since: dict[str, int]) -> dict[str, Path]:
    """Copy what each log has gained since those sizes."""
    found: dict[str, Path] = {}
    for name, file in FORMATS.items():
        found[name] = directory / file
        found[name].write_bytes((cluster.data / "log" / file).read_bytes()[since[name] :])
    return found


def sizes(cluster: Cluster) -> dict[str, int]:
    return {name: (cluster.data / "log" / file).stat().st_size for name, file in FORMATS.items()}


def test_postgresql_says_who_came_past_the_gateway(
    gate: GatewayProcess, cluster: Cluster, tmp_path: Path
) -> None:
    before = sizes(cluster)
    through(gate)
    through(gate)
    first, second = sealed(gate, 2)
    clean = fresh(cluster, tmp_path, before)
    for form, log in clean.items():
        status, found, summary = reconciled(
            gate, "--target", "prod-db", "--log", str(log), "--gateway-address", "127.0.0.1", "--all"
        )
        assert status == 0, (form, found)
        assert [(each["kind"], each["session"]) for each in found] == [
            ("recorded", first),
            ("recorded", second),
        ]
        assert "session id, its time, the gateway's address" in found[0]["what"]
        assert (summary["recorded"], summary["unrecorded"], summary["unlogged"]) == (2, 0, 0)

    past(cluster, "psql")
    past(cluster, f"recgate {first} billing")  # somebody else's, a second time
    past(cluster, "recgate 01JZZZZZZZZZZZZZZZZZZZZZZZ psql")
    past(cluster, f"psql application_name=recgate {second}")
    dirty = fresh(cluster, tmp_path, before)
    for form, log in dirty.items():
        status, found, summary = reconciled(
            gate, "--target", "prod-db", "--format", form, "--log", str(log), "--skew", "3600"
        )
        assert status == 1
        assert [each["kind"] for each in found] == ["unrecorded"] * 4, form
        assert "brings no session id" in found[0]["what"]
        assert found[1]["session"] == first
        assert "already" in found[1]["what"]
        assert "nobody knows that session" in found[2]["what"]
        assert "brings no session id" in found[3]["what"]
        assert all(each["user"] == "scram_user" and each["source"] == "127.0.0.1" for each in found)
        assert (summary["recorded"], summary["unrecorded"]) == (2, 4)


def test_a_log_that_was_cut_names_the_recording_and_copies_do_without_a_gateway(
    gate: GatewayProcess, cluster: Cluster, tmp_path: Path
) -> None:
    before = sizes(cluster)
    past(cluster, "first")
    through(gate)
    past(cluster, "last")
    (session,) = sealed(gate, 1)
    log = fresh(cluster, tmp_path, before)["stderr"]
    lines = log.read_text().splitlines(keepends=True)
    log.write_text("".join(line for line in lines if session not in line))
    words = ("--target", "prod-db", "--log", str(log))
    status, found, _ = reconciled(gate, *words)
    assert status == 1
    assert [(each["kind"], each["session"]) for each in found] == [
        ("unrecorded", None), ("unrecorded", None), ("unlogged", session),
    ]  # fmt: skip
    store = ("--store", str(gate.data_dir / "recordings"))
    offline = reconciled(gate, *words, *store)[1]
    assert [each["what"] for each in offline[:2]] == [each["what"] for each in found[:2]]
    assert offline[2]["session"] == session
    assert offline[2]["what"].endswith("unless it never got there")
    text = gate.command("reconcile", *words, "--zone", "Europe/Berlin").stdout
    assert "2 unrecorded; 1 recordings that are not in the log" in text


def test_an_address_that_is_no_gateways_is_seen(
    gate: GatewayProcess, cluster: Cluster, tmp_path: Path
) -> None:
    before = sizes(cluster)
    through(gate)
    sealed(gate, 1)
    log = fresh(cluster, tmp_path, before)["jsonlog"]
    status, (found,), _ = reconciled(
        gate, "--target", "prod-db", "--log", str(log), "--gateway-address", "10.0.0.7"
    )
    assert status == 1
    assert "127.0.0.1 is no gateway's address" in found["what"]


def stamped(log: str, moments: list[datetime]) -> str:
    """Write sshd's lines as rsyslog does. What is accepted gets the next of `moments`."""
    left = iter(moments)
    lines: list[str] = []
    for line in log.splitlines():
        moment = next(left) if line.startswith("Accepted ") else moments[0]
        lines.append(f"{moment.isoformat()} web-1 sshd[4711]: {line}\n")
    return "".join(lines)


def test_sshd_says_who_came_past_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "sshd").mkdir()
    with Sshd(tmp_path / "sshd") as sshd, SshGate(tmp_path, sshd) as gate:
        moments = [datetime.now(UTC)]
        assert gate.ssh("true").returncode == 0
        (row,) = gate.sealed()
        moments.append(datetime.now(UTC))
        direct = ["ssh", "-F", "none", "-i", str(sshd.user_key), "-p", str(sshd.port)]
        options = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'known'}"]
        done = subprocess.run(
            [*direct, *options, f"{sshd.user}@127.0.0.1", "true"], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        log = tmp_path / "auth.log"
        log.write_text(stamped(sshd.log(), moments))
        words = ("--target", "prod-web", "--log", str(log), "--gateway-address", "127.0.0.1", "--all")
        status, found, _ = reconciled(gate, *words)
        assert status == 1
        assert [(each["kind"], each["session"]) for each in found] == [
            ("recorded", row["id"]),
            ("unrecorded", None),
        ]
        assert found[0]["what"] == "rests on: the gateway's address, the time"
        assert "no session that is not in the log already fits its time" in found[1]["what"]
        journal = "".join(
            json.dumps({
                "__REALTIME_TIMESTAMP": str(int(moment.timestamp() * 1e6)), "_COMM": "sshd", "MESSAGE": line,
            }) + "\n"
            for moment, line in zip(
                moments, [each for each in sshd.log().splitlines() if each.startswith("Accepted ")], strict=True
            )
        )  # fmt: skip
        log.write_text(journal)
        assert [each["kind"] for each in reconciled(gate, *words)[1]] == ["recorded", "unrecorded"]
