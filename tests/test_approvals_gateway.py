"""Holds at real clients: psql, psycopg and ssh wait, people decide by the real command and API, and it goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

LEADS = {"approvers": ["group:leads"], "timeout": "2m"}
RULES: list[dict[str, Any]] = [
    {
        "name": "unbounded",
        "when": 'request.kind == "sql" && request.verb == "DELETE" && !request.has_where',
        "then": {"hold": LEADS},
        "message": "This deletes every row.",
    },
    {
        "name": "quick",
        "when": 'request.kind == "sql" && request.verb == "UPDATE" && !request.has_where',
        "then": {"hold": {"approvers": ["group:leads"], "timeout": "1s"}},
    },
    {
        "name": "hr-door",
        "when": 'request.kind == "session" && request.database == "template1"',
        "then": {"hold": LEADS},
    },
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gate"), configuration(cluster))
    for user, groups in {"alice": (), "carol": ("leads",), "dave": ("leads",), "erin": ()}.items():
        process.run("user", "add", user, *(word for group in groups for word in ("--group", group)))
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    with process:
        with connect(process) as connection:
            connection.execute("CREATE TABLE goods (n int)")
            connection.execute("INSERT INTO goods VALUES (1), (2), (3)")
        yield process


def configuration(cluster: Cluster) -> dict[str, Any]:
    target = {
        "name": "prod-db",
        "protocol": "postgres",
        "address": f"127.0.0.1:{cluster.port}",
        "options": {"database": "postgres", "databases": ["template1"], "tls": "disable"},
        "credential": "local:prod-db",
        "allow": ["user:alice", "user:carol"],
    }
    listeners = [
        {"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"},
        {"protocol": "https", "bind": "127.0.0.1:0"},
    ]
    return {"listeners": listeners, "targets": [target], "policies": RULES}


def connect(gate: GatewayProcess, user: str = "alice", **more: Any) -> psycopg.Connection:
    return psycopg.connect(
        host="127.0.0.1", port=gate.port("postgres"), user="prod-db", password=gate.token(user),
        sslmode="disable", autocommit=True, **{"dbname": "postgres", **more},
    )  # fmt: skip


@contextmanager
def psql(gate: GatewayProcess, *commands: str, database: str = "postgres") -> Iterator[subprocess.Popen[str]]:
    """A psql that runs beside the test, and not longer."""
    words = [word for command in commands for word in ("-c", command)]
    line = f"host=127.0.0.1 port={gate.port('postgres')} user=prod-db dbname={database} sslmode=disable"
    with subprocess.Popen(
        [str(debian_bin() / "psql"), line, "-X", "-A", "-t", *words],
        env={**os.environ, "PGPASSWORD": gate.token("alice")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as client:
        try:
            yield client
        finally:
            client.kill()


def requests(gate: GatewayProcess, *words: str, user: str = "carol") -> subprocess.CompletedProcess[str]:
    os.environ["RECGATE_TOKEN"] = gate.token(user)
    try:
        return gate.command("requests", *words)
    finally:
        del os.environ["RECGATE_TOKEN"]


def waiting(gate: GatewayProcess, rule: str = "unbounded") -> dict[str, Any]:
    """The one request of a rule that waits, once it does."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        lines = gate.run("requests", "ls", "--json", check=False).splitlines()
        found[:] = [row for row in map(json.loads, lines) if row["rule"] == rule]
        return bool(found)

    gate.until(there, "a request that waits")
    (row,) = found
    return row


def shown(gate: GatewayProcess, request: str) -> dict[str, Any]:
    return json.loads(gate.run("requests", "show", request, "--json"))


def told(process: subprocess.Popen[str], words: str) -> str:
    """Read standard error until a line with these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"never said: {words}")


def rows_left(gate: GatewayProcess) -> int:
    with connect(gate) as connection:
        row = connection.execute("SELECT count(*) FROM goods").fetchone()
    assert row is not None
    return int(row[0])


def test_psql_waits_and_goes_on_once_somebody_approves(gate: GatewayProcess) -> None:
    with psql(gate, "BEGIN", "DELETE FROM goods", "ROLLBACK", "SELECT 41 + 1") as client:
        notice = told(client, "NOTICE")
        assert "This deletes every row. (waits for approval by group:leads, for at most 2 min)" in notice
        row = waiting(gate)
        assert (row["user"], row["target"], row["asks"], row["facts"][0]["tables"]) == (
            "alice", "prod-db", "sql", ["goods"],
        )  # fmt: skip
        text = requests(gate, "show", row["id"]).stdout
        assert "DELETE FROM goods" in text
        assert "DELETE FROM" not in gate.run("requests", "show", row["id"])
        assert requests(gate, "approve", row["id"], "--reason", "agreed").returncode == 0
        out, err = client.communicate(timeout=60)
    assert out.split("\n")[:4] == ["BEGIN", "DELETE 3", "ROLLBACK", "42"]
    assert "ERROR" not in err
    entries = gate.rows("show", row["session"])
    steps = [(each.get("step"), each.get("by")) for each in entries if each["kind"] == "held"]
    assert steps == [(None, None), ("asked", None), ("approved", "carol")]
    gate.until(
        lambda: {row["id"]: row for row in gate.rows("sessions")}[row["session"]]["approved"] == ["carol"],
        "who approved",
    )
    assert rows_left(gate) == 3


def test_a_denial_is_postgresqls_own_error_and_the_session_goes_on(gate: GatewayProcess) -> None:
    with psql(gate, "DELETE FROM goods", "SELECT 41 + 1") as client:
        row = waiting(gate)
        assert requests(gate, "deny", row["id"], "--reason", "not on a Friday").returncode == 0
        out, err = client.communicate(timeout=60)
    assert "ERROR:  unbounded: carol denied it: not on a Friday (recgate session " in err
    assert out.split() == ["42"]
    assert rows_left(gate) == 3


def test_time_goes_by_and_nobody_decides(gate: GatewayProcess) -> None:
    with psql(gate, "UPDATE goods SET n = 0", "SELECT 41 + 1") as client:
        out, err = client.communicate(timeout=60)
    assert re.search(r"ERROR:  quick: nobody approved it in time \(request [0-9A-Z]{26}\)", err)
    assert out.split() == ["42"]


def test_ctrl_c_in_psql_cancels_what_waits(gate: GatewayProcess) -> None:
    with psql(gate, "DELETE FROM goods", "SELECT 41 + 1") as client:
        row = waiting(gate)
        client.send_signal(signal.SIGINT)
        _, err = client.communicate(timeout=60)
    assert "unbounded: cancelled by the client while it waited for approval" in err
    ended = shown(gate, row["id"])
    assert (ended["status"], ended["why"]) == (
        "withdrawn",
        "cancelled by the client while it waited for approval",
    )


def test_a_cancelled_hold_has_the_sqlstate_of_a_cancelled_statement(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        asked = threading.Thread(target=lambda: (waiting(gate), connection.cancel()))
        asked.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("DELETE FROM goods")
        asked.join()
        assert connection.execute("SELECT 41 + 1").fetchone() == (42,)


def test_a_held_statement_in_a_pipeline_keeps_its_place(gate: GatewayProcess) -> None:
    """What was sent before it is answered meanwhile; what comes behind it waits with it."""
    with connect(gate) as connection:
        with connection.pipeline() as pipeline:
            before = connection.execute("SELECT %s::int", (1,))
            pipeline.sync()
            assert before.fetchone() == (1,)
            with connection.transaction(force_rollback=True):
                held = connection.execute("DELETE FROM goods", prepare=True)
                behind = connection.execute("SELECT count(*) FROM goods")
                decide = threading.Thread(
                    target=lambda: requests(gate, "approve", waiting(gate)["id"], "--reason", "ok")
                )
                decide.start()
                assert behind.fetchone() == (0,)
                assert held.rowcount == 3
                decide.join()
    assert rows_left(gate) == 3


def test_a_denied_statement_of_a_pipeline_leaves_nothing_committed(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        decide = threading.Thread(
            target=lambda: requests(gate, "deny", waiting(gate)["id"], "--reason", "no")
        )
        decide.start()
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="carol denied it: no"):
            insert_and_delete(connection)
        decide.join()
    assert rows_left(gate) == 3


def insert_and_delete(connection: psycopg.Connection) -> None:
    with connection.pipeline():
        connection.execute("INSERT INTO goods VALUES (9)")
        connection.execute("DELETE FROM goods")


def test_bind_values_are_what_is_approved(gate: GatewayProcess) -> None:
    with connect(gate) as connection:
        found: list[str] = []

        def decide() -> None:
            row = waiting(gate)
            found.append(requests(gate, "show", row["id"]).stdout)
            requests(gate, "deny", row["id"], "--reason", "no")

        deciding = threading.Thread(target=decide)
        deciding.start()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("WITH gone AS (DELETE FROM goods RETURNING n) SELECT n + %s FROM gone", (73,))
        deciding.join()
    assert "$1 = 73" in found[0]


def test_a_client_that_leaves_takes_its_request_along(gate: GatewayProcess) -> None:
    with psql(gate, "DELETE FROM goods") as client:
        row = waiting(gate)
        client.kill()
    gate.until(lambda: shown(gate, row["id"])["status"] == "withdrawn", "the withdrawn request")
    assert shown(gate, row["id"])["why"] == "the client left while it waited"
    late = requests(gate, "approve", row["id"], "--reason", "late")
    assert late.returncode == 1
    assert "this request is withdrawn already" in late.stderr
    assert rows_left(gate) == 3


def test_a_held_log_in_is_told_so_after_it_is_known_who_it_is(gate: GatewayProcess) -> None:
    with psql(gate, "SELECT current_database()", database="template1") as client:
        assert "waits for approval by group:leads" in told(client, "NOTICE")
        row = waiting(gate, "hr-door")
        assert row["asks"] == "session"
        requests(gate, "approve", row["id"], "--reason", "ok")
        out, _ = client.communicate(timeout=60)
    assert out.split() == ["template1"]


def test_a_held_log_in_is_refused_or_withdrawn(gate: GatewayProcess) -> None:
    with psql(gate, "SELECT 1", database="template1") as client:
        requests(gate, "deny", waiting(gate, "hr-door")["id"], "--reason", "no")
        _, err = client.communicate(timeout=60)
    assert "FATAL:  hr-door: carol denied it: no" in err
    with psql(gate, "SELECT 1", database="template1") as client:
        row = waiting(gate, "hr-door")
        client.kill()
    gate.until(lambda: shown(gate, row["id"])["status"] == "withdrawn", "the withdrawn log-in")


def test_killing_a_session_ends_what_waits_in_it(gate: GatewayProcess) -> None:
    with psql(gate, "DELETE FROM goods") as client:
        row = waiting(gate)
        gate.run("kill", row["session"], "--reason", "enough")
        _, err = client.communicate(timeout=60)
    assert "FATAL:  enough" in err
    assert shown(gate, row["id"])["why"] == "its session ended: enough"


# -- the API ---------------------------------------------------------------------------------------------------


def api(gate: GatewayProcess, path: str, user: str, body: object = None, method: str = "") -> tuple[int, Any]:
    asked = urllib.request.Request(
        f"https://127.0.0.1:{gate.port('https')}{path}",
        None if body is None else json.dumps(body).encode(),
        {"authorization": f"Bearer {gate.token(user)}"},
        method=method or ("GET" if body is None else "POST"),
    )
    context = ssl.create_default_context(cafile=str(gate.data_dir / "ca.pem"))
    try:
        with urllib.request.urlopen(asked, context=context, timeout=30) as answer:  # noqa: S310 - https alone
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, json.loads(exc.read())


def test_the_api_shows_to_whom_it_concerns_and_get_decides_nothing(gate: GatewayProcess) -> None:
    with psql(gate, "DELETE FROM goods") as client:
        row = waiting(gate)
        path = f"/api/v1/requests/{row['id']}"
        assert [
            each["id"] for each in api(gate, "/api/v1/requests?status=pending", "carol")[1]["requests"]
        ] == [row["id"]]
        assert api(gate, "/api/v1/requests", "erin") == (200, {"requests": []})
        assert api(gate, path, "erin")[0] == 404
        assert api(gate, path, "carol")[1]["text"] == "DELETE FROM goods"
        for word in ("approve", "deny"):
            assert api(gate, f"{path}/{word}?reason=x", "carol", method="GET")[0] == 405
            assert api(gate, f"{path}/{word}", "carol", method="PUT")[0] == 405
        said = {"reason": "fine", "digest": row["digest"]}
        assert api(gate, f"{path}/approve", "alice", said)[0] == 403
        assert api(gate, f"{path}/approve", "carol", {**said, "digest": "0" * 64})[0] == 409
        assert api(gate, f"{path}/approve", "carol", {**said, "reason": ""})[0] == 400
        assert api(gate, f"{path}/approve", "carol", [1])[0] == 400
        assert client.poll() is None
        status, ended = api(gate, f"{path}/deny", "carol", said)
        assert (status, ended["status"]) == (200, "denied")
        assert api(gate, f"{path}/approve", "dave", said)[0] == 409
        client.communicate(timeout=60)


def test_what_is_shown_in_a_terminal_does_nothing_there(gate: GatewayProcess) -> None:
    nasty = "DELETE FROM goods /* \x1b[2J\x1b]0;owned\x07 \u202e */"
    with psql(gate, nasty) as client:
        row = waiting(gate)
        for words in (("show", row["id"]), ("ls",), ("show", row["id"], "--json")):
            assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", requests(gate, *words).stdout)
        said = requests(gate, "deny", row["id"], "--reason", "\x1b[31mno\x1b[0m")
        assert "\x1b" not in said.stdout
        _, err = client.communicate(timeout=60)
    assert "carol denied it" in err
    assert "\x1b" not in requests(gate, "show", row["id"]).stdout


# -- the gateway stops -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_gateway_that_stops_refuses_what_waits(tmp_path: Path, cluster: Cluster, how: str) -> None:
    process = GatewayProcess(tmp_path, configuration(cluster))
    process.run("user", "add", "alice")
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    process.start()
    with psql(process, "DELETE FROM goods") as client:
        row = waiting(process)
        getattr(process, how)()
        _, err = client.communicate(timeout=60)
    assert ("the gateway is shutting down" if how == "stop" else "server closed the connection") in err
    with process:
        ended = shown(process, row["id"])
    assert ended["status"] == "withdrawn"
    assert ended["why"] in (
        "its session ended: the gateway is shutting down",
        "the gateway stopped while it waited",
    )
