"""Rules at real clients: what the refused read in psql and ssh, what goes on, and what audit and recording say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd
from tests.test_ssh_gateway import SshGate

RULES: list[dict[str, Any]] = [
    {
        "name": "no-drop-in-prod",
        "when": 'target.labels.env == "prod" && request.kind == "sql" && request.verb in ["DROP", "TRUNCATE"]',
        "then": "deny",
        "message": "Dropping objects in prod goes through a migration.",
    },
    {
        "name": "unbounded",
        "when": 'request.kind == "sql" && request.verb in ["DELETE", "UPDATE"] && !request.has_where',
        "then": {"hold": {"approvers": ["group:dba-leads"], "timeout": "10m"}},
    },
    {
        "name": "watch-payroll",
        "when": 'request.kind == "sql" && request.text.matches("(?i)payroll")',
        "then": "alert",
        "message": "Somebody looks at payroll.",
    },
    {
        "name": "no-hr-at-night",
        "when": 'request.kind == "session" && request.database == "hr"',
        "then": "deny",
        "message": "The hr database is closed.",
    },
    {"name": "brake", "when": "session.bytes_out > 100000", "then": "deny", "message": "That is enough for now."},
    {
        "name": "no-rm",
        "when": r'request.kind == "shell" && request.text.matches(r"\brm\b")',
        "then": "deny",
        "message": "Ask ops.",
    },
    {"name": "no-files", "when": 'request.kind == "file"', "then": "deny", "message": "Use the artefact store."},
    {"name": "no-mail", "when": 'request.kind == "forward" && request.port == 25', "then": "deny"},
    {"name": "elsewhere", "when": 'target.labels.env == "test" && request.kind == "sql"', "then": "deny"},
]  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    options = {"database": "postgres", "databases": ["hr"], "tls": "disable"}
    target = {
        "name": "prod-db",
        "protocol": "postgres",
        "address": f"127.0.0.1:{cluster.port}",
        "options": options,
        "labels": {"env": "prod"},
        "credential": "local:prod-db",
        "allow": ["user:alice"],
    }
    listeners = [{"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"}]
    process = GatewayProcess(
        tmp_path_factory.mktemp("gate"), {"listeners": listeners, "targets": [target], "policies": RULES}
    )
    process.run("user", "add", "alice")
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    with process:
        yield process


def psql(
    gate: GatewayProcess, *commands: str, database: str = "postgres"
) -> subprocess.CompletedProcess[str]:
    words = [word for command in commands for word in ("-c", command)]
    line = f"host=127.0.0.1 port={gate.port('postgres')} user=prod-db dbname={database} sslmode=disable"
    return subprocess.run(
        [str(debian_bin() / "psql"), line, "-X", "-A", "-t", *words],
        env={**os.environ, "PGPASSWORD": gate.token("alice")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def connect(gate: GatewayProcess) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user="prod-db", password=gate.token("alice"),
        sslmode="disable", autocommit=True,
    )  # fmt: skip


def audit(gate: GatewayProcess, event: str) -> list[dict[str, Any]]:
    lines = (gate.data_dir / "audit.jsonl").read_text().splitlines()
    return [each for line in lines if (each := json.loads(line))["event"] == event]


def test_a_drop_is_refused_by_name_and_the_session_goes_on(gate: GatewayProcess) -> None:
    done = psql(gate, "select 41 + 1", "drop table nothing", "select 42 + 1")
    assert (
        "no-drop-in-prod: Dropping objects in prod goes through a migration. (recgate session " in done.stderr
    )
    assert done.stdout.split() == ["42", "43"]
    gate.until(lambda: audit(gate, "request.denied"), "the denied request")
    denied = audit(gate, "request.denied")[0]
    assert (denied["rule"], denied["user"], denied["target"], denied["asks"]) == (
        "no-drop-in-prod",
        "alice",
        "prod-db",
        "sql",
    )
    (shown,) = [entry for entry in gate.rows("show", str(denied["session"])) if entry["kind"] == "decision"]
    assert (shown["effect"], shown["rule"], shown["text"]) == (
        "deny",
        "no-drop-in-prod",
        "drop table nothing",
    )


@pytest.mark.parametrize(
    "statement",
    [
        "DrOp TABLE nothing",
        "/* x */ drop /* y */ table nothing",
        "select 1; drop table nothing",
        "explain analyze truncate nothing",
        "prepare p as select 1; truncate nothing",
        "do $$ begin execute 'dr' || 'op table nothing'; end $$",
        "create function pg_temp.f() returns void language sql as 'drop table nothing'",
    ],
)
def test_a_drop_is_found_however_it_is_written(gate: GatewayProcess, statement: str) -> None:
    with connect(gate) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-drop-in-prod"):
            connection.execute(statement.encode())
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_held_request_waits_until_the_client_gives_it_up(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        notices: list[str] = []

        def told(notice: psycopg.errors.Diagnostic) -> None:
            notices.append(str(notice.message_primary))
            connection.cancel()

        connection.add_notice_handler(told)
        with pytest.raises(psycopg.errors.QueryCanceled, match="unbounded"):
            connection.execute("delete from pg_temp.nothing")
        assert any("waits for approval by group:dba-leads, for at most 10 min" in each for each in notices)
        assert connection.execute("select 1").fetchone() == (1,)


def test_an_alert_is_told_and_the_statement_goes_on(gate: GatewayProcess) -> None:
    assert psql(gate, "select 'payroll'").stdout == "payroll\n"
    gate.until(lambda: audit(gate, "policy.alert"), "the alert")
    alert = audit(gate, "policy.alert")[-1]
    assert (alert["rule"], alert["reason"]) == ("watch-payroll", "Somebody looks at payroll.")
    assert "select" not in json.dumps(alert)
    effects = [
        entry["effect"] for entry in gate.rows("show", str(alert["session"])) if entry["kind"] == "decision"
    ]
    assert effects == ["alert"]


def test_a_session_is_refused_at_the_door(gate: GatewayProcess) -> None:
    done = psql(gate, "select 1", database="hr")
    assert done.returncode == 2
    assert "no-hr-at-night: The hr database is closed." in done.stderr


def test_a_result_that_would_cross_the_line_is_not_begun(gate: GatewayProcess) -> None:
    done = psql(gate, "select length(repeat('x', 10))", "select repeat('x', 200000)", "select 'after'")
    assert "brake: That is enough for now." in done.stderr
    assert done.stdout.split() == ["10", "after"]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[SshGate]:
    with SshGate(tmp_path_factory.mktemp("ssh"), sshd, policies=RULES) as running:
        yield running


def test_a_command_is_refused_on_stderr_with_status_1(ssh: SshGate) -> None:
    done = ssh.ssh("rm -rf /nowhere")
    assert done.returncode == 1
    assert b"no-rm: Ask ops. (recgate session " in done.stderr
    assert ssh.ssh("echo", "still here").stdout == b"still here\n"


def test_every_way_in_to_files_is_a_request_for_files(ssh: SshGate, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    line = ssh.line()
    done = subprocess.run(
        ["sftp", *line[1:-3], "-P", line[-2], line[-1]],
        input=b"ls\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert b"no-files: Use the artefact store." in done.stderr


def test_rules_are_read_anew_for_sessions_to_come(ssh: SshGate) -> None:
    config = ssh.config_file.read_text()
    try:
        ssh.config_file.write_text(config.replace("Ask ops.", "Ask nobody."))
        before = len(audit(ssh, "configuration.loaded"))
        os.kill(ssh.pid, signal.SIGHUP)
        ssh.until(lambda: len(audit(ssh, "configuration.loaded")) > before, "the reload")
        assert b"no-rm: Ask nobody." in ssh.ssh("rm x").stderr
        ssh.config_file.write_text(config.replace("request.port == 25", "request.prt == 25"))
        refused = len(audit(ssh, "configuration.refused"))
        os.kill(ssh.pid, signal.SIGHUP)
        ssh.until(lambda: len(audit(ssh, "configuration.refused")) > refused, "the refusal")
        assert "Did you mean `request.port`?" in audit(ssh, "configuration.refused")[-1]["reason"]
        assert b"no-rm: Ask nobody." in ssh.ssh("rm x").stderr
    finally:
        ssh.config_file.write_text(config)
