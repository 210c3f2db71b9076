"""Access on request at a real gateway: asked for, granted, used by psql, shown, ended on time and taken back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.test_approvals_gateway import api, connect, requests


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=False) as running:
        yield running


def configuration(cluster: Cluster, **request: Any) -> dict[str, Any]:
    target = {
        "name": "prod-db",
        "protocol": "postgres",
        "address": f"127.0.0.1:{cluster.port}",
        "options": {"database": "postgres", "tls": "disable"},
        "credential": "local:prod-db",
        "request": {"approvers": ["group:leads"], "max": "2h", "users": ["user:erin"], **request},
    }
    listeners = [
        {"protocol": "postgres", "bind": "127.0.0.1:0", "tls": "allow"},
        {"protocol": "https", "bind": "127.0.0.1:0"},
    ]
    return {"listeners": listeners, "targets": [target], "limits": {"recheck": "1s"}}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gate"), configuration(cluster))
    for user, groups in {"carol": ("leads",), "erin": (), "mallory": ()}.items():
        process.run("user", "add", user, *(word for group in groups for word in ("--group", group)))
    secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
    process.run(*secret, stdin=PASSWORD + "\n")
    with process:
        yield process


def asked(gate: GatewayProcess, lasts: str, user: str = "erin") -> subprocess.CompletedProcess[str]:
    return requests(gate, "new", "prod-db", "--for", lasts, "--reason", "deploy 7", "--json", user=user)


def granted(gate: GatewayProcess, lasts: str) -> str:
    row = json.loads(asked(gate, lasts).stdout)
    assert requests(gate, "approve", row["id"], "--reason", "ok").returncode == 0
    return str(row["id"])


def refused(gate: GatewayProcess, user: str = "erin") -> str:
    with pytest.raises(psycopg.OperationalError) as found:
        connect(gate, user)
    return str(found.value)


def test_access_is_asked_for_granted_used_shown_and_taken_back(gate: GatewayProcess) -> None:
    assert 'no postgres target "prod-db" is open to you' in refused(gate)
    (offer,) = api(gate, "/api/v1/targets", "erin")[1]["targets"]
    assert offer["needs"] == "ask for access: recgate requests new prod-db --for TIME --reason TEXT"
    assert api(gate, "/api/v1/targets", "mallory")[1]["targets"] == []

    request = granted(gate, "1h")
    with connect(gate, "erin") as connection:
        assert connection.execute("SELECT 41 + 1").fetchone() == (42,)
        (target,) = api(gate, "/api/v1/targets", "erin")[1]["targets"]
        assert (target["grant"]["by"], target["grant"]["reason"]) == (["carol"], "deploy 7")
        (mine,) = api(gate, "/api/v1/whoami", "erin")[1]["grants"]
        assert (mine["target"], mine["by"]) == ("prod-db", ["carol"])
        assert "prod-db" in refused(gate, "mallory"), "it is erin's alone"
        (live,) = gate.rows("sessions", "--live")

        assert requests(gate, "revoke", request, "--reason", "enough").returncode == 0
        with pytest.raises(psycopg.OperationalError, match="the grant that it stood on was taken back"):
            connection.execute("SELECT 1")
    gate.until(lambda: gate.rows("sessions")[0]["status"] == "sealed", "the seal")
    assert gate.rows("sessions")[0]["approved"] == ["carol"]
    assert " carol" in gate.run("sessions").splitlines()[1]
    (note,) = [each for each in gate.rows("show", live["id"]) if each.get("text") == "access was granted"]
    assert (note["approval"], note["by"]) == (request, ["carol"])
    assert "is open to you" in refused(gate)


def test_a_session_ends_when_its_grant_does(gate: GatewayProcess) -> None:
    granted(gate, "3s")
    with connect(gate, "erin") as connection:
        with pytest.raises(psycopg.OperationalError, match="the access that was granted has ended"):
            connection.execute("SELECT pg_sleep(60)")
    assert "is open to you" in refused(gate)


def test_only_who_is_offered_it_may_ask_and_not_for_longer(gate: GatewayProcess) -> None:
    for user, lasts, words in (
        ("mallory", "1h", 'no target "prod-db" is open to you on request'),
        ("erin", "3h", "7200 seconds at most"),
    ):
        done = asked(gate, lasts, user)
        assert done.returncode != 0
        assert words in done.stderr


def test_a_target_that_offers_nothing_any_more_keeps_no_grant(gate: GatewayProcess, cluster: Cluster) -> None:
    granted(gate, "1h")
    with connect(gate, "erin") as connection:
        connection.execute("SELECT 1")
        changed = configuration(cluster, users=["user:mallory"])
        gate.configure(changed)
        gate.run("config", "check")
        subprocess.run(["kill", "-HUP", str(gate.pid)], check=True)
        gate.until(lambda: "is open to you" in refused(gate), "the reload")
        gate.until(lambda: not gate.rows("sessions", "--live"), "the end of the session")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    gate.configure(configuration(cluster))
    subprocess.run(["kill", "-HUP", str(gate.pid)], check=True)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"approvers": []}, "approvers"),
        ({"approvers": ["leads"]}, "should be `user:NAME` or `group:NAME`"),
        ({"approvers": ["user:carol"], "of": 2}, "can never be met by 1 users"),
        ({"users": ["erin "]}, "should be `user:NAME`"),
        ({"max": "40d"}, "max"),
    ],
)
def test_an_offer_that_makes_no_sense_is_refused(
    gate: GatewayProcess, cluster: Cluster, request_, words
) -> None:
    gate.configure(configuration(cluster, **request_))
    done = gate.command("config", "check")
    gate.configure(configuration(cluster))
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
