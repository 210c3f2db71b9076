"""Real psql and ssh to real targets through real agents: carried, recorded, killed, revoked, failed over."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd

PATIENCE = 60


class Site(GatewayProcess):
    """A gateway that reaches its targets by agents alone, and agents beside it."""

    def __init__(self, directory: Path, cluster: Cluster, sshd: Sshd) -> None:
        self.database = f"127.0.0.1:{cluster.port}"
        options = {"database": "postgres", "tls": "verify-full", "ca": str(cluster.authority.path)}
        database = cluster.target("prod-db", options=options, via="agent")
        web = sshd.target("prod-web", via="agent")
        words = ("https", "postgres", "ssh")
        listeners = [{"protocol": word, "bind": "127.0.0.1:0"} for word in words]
        self.settings: dict[str, Any] = {"listeners": listeners, "targets": [database, web]}
        super().__init__(directory, self.settings)
        self.cluster, self.sshd = cluster, sshd
        self._seen: set[str] = set()

    def __enter__(self) -> Site:
        self.run(
            "secret", "set", "prod-db", "--username", "scram_user", "--password-stdin", stdin=PASSWORD + "\n"
        )
        key = ("--key-file", str(self.sshd.user_key))
        self.run("secret", "set", "prod-web", "--username", self.sshd.user, *key)
        self.run("user", "add", "alice", "--group", "ops")
        super().__enter__()
        self.alice = self.token("alice")
        return self

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port('https')}"

    def far(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run `recgate agent …` on a machine that has nothing of the gateway's."""
        return subprocess.run(
            [sys.executable, "-m", "recgate", "agent", *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self._environment(**more),
            cwd=self._elsewhere(),
        )

    def _elsewhere(self) -> Path:
        place = self.directory / "elsewhere"
        place.mkdir(exist_ok=True)
        return place

    def _environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RECGATE_")}
        return {**kept, "HOME": str(self._elsewhere()), **more}

    def enrol(self, name: str, *targets: str) -> Path:
        """Enrol an agent; gives where it keeps its key."""
        words = [word for target in targets for word in ("--target", target)]
        token = self.run("agent", "issue", "--name", name, *words).strip()
        state = self.directory / name
        ca = str(self.data_dir / "ca.pem")
        done = self.far("enroll", self.url, "--ca", ca, "--state", str(state), RECGATE_AGENT_TOKEN=token)
        assert done.returncode == 0, done.stderr
        assert f"enrolled at gate-test as {name}" in done.stdout
        return state

    @contextmanager
    def agent(self, state: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run an agent; it is connected when this goes on."""
        log = state / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "recgate", "agent", "--state", str(state)],
                stderr=stream,
                env=self._environment(),
                cwd=self._elsewhere(),
            )
        try:
            self.until(lambda: b"connected to gate-test" in log.read_bytes() or process.poll(), "an agent")
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(PATIENCE)

    def psql(self, sql: str) -> subprocess.Popen[str]:
        where = f"host=127.0.0.1 port={self.port('postgres')} user=prod-db sslmode=verify-full"
        return subprocess.Popen(
            ["psql", "-XAtw", f"{where} sslrootcert={self.data_dir / 'ca.pem'}", "-c", sql],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PGPASSWORD": self.alice},
        )

    def ssh(self, command: str) -> subprocess.Popen[str]:
        key = self.directory / "alice"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", str(key)], check=True)
            self.run("key", "add", "--user", "alice", str(key.with_suffix(".pub")))
        known = self.directory / "known_hosts"
        port = self.port("ssh")
        known.write_text(f"[127.0.0.1]:{port} {(self.data_dir / 'ssh_host_ed25519.pub').read_text()}")
        options = ["-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-i", str(key)]
        return subprocess.Popen(
            ["ssh", *options, "-o", "IdentitiesOnly=yes", "-p", str(port), "prod-web@127.0.0.1", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, kind: str) -> list[dict[str, Any]]:
        """Audit events of one kind."""
        lines = (self.data_dir / "audit.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def sealed(self) -> list[dict[str, Any]]:
        """Sessions that were sealed since this was last asked; at least one."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            rows = [row for row in self.rows("sessions") if row["id"] not in self._seen]
            found[:] = [row for row in rows if row["status"] == "sealed"]
            return bool(found) and len(found) == len(rows)

        self.until(look, "a sealed session")
        self._seen.update(row["id"] for row in found)
        return found

    def asleep(self, seconds: int) -> None:
        """Wait until the database works on what a client asked for.

        Each test sleeps another time: PostgreSQL goes on with a sleep whose client has gone.
        """
        asked = f"SELECT pg_sleep({seconds})"
        running = "SELECT query FROM pg_stat_activity"
        self.until(lambda: asked in self.cluster.psql(running).splitlines(), "the statement at the target")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Cluster(debian_bin(), tls=True) as cluster, Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        with Site(tmp_path_factory.mktemp("site"), cluster, sshd) as running:
            yield running


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=PATIENCE)
    return process.returncode, out, error


def test_without_an_agent_the_reason_is_told(site: Site) -> None:
    code, _, error = finished(site.psql("SELECT 1"))
    assert code == 2
    assert "prod-db: no agent that leads there is connected" in error
    assert site.sealed()[0]["reason"].startswith("upstream: prod-db: no agent")


def test_psql_and_ssh_through_an_agent_are_recorded(site: Site) -> None:
    state = site.enrol("relay-1", "prod-db", "prod-web")
    assert stat.S_IMODE((state / "key.pem").stat().st_mode) == 0o600
    with site.agent(state):
        code, out, error = finished(site.psql("SELECT count(md5(i::text)) FROM generate_series(1, 200000) i"))
        assert (code, out) == (0, "200000\n"), error
        code, out, error = finished(site.psql("SELECT md5(i::text) FROM generate_series(1, 100000) i"))
        assert (code, out.count("\n")) == (0, 100_000), error
        code, out, error = finished(site.ssh("echo through; cat; exit 7"))
        assert (code, out) == (7, "through\n"), error
    rows = site.sealed()
    assert sorted(row["target"] for row in rows) == ["prod-db", "prod-db", "prod-web"]
    assert {row["user"] for row in rows} == {"alice"}
    texts = [
        entry.get("text") or entry.get("command") for row in rows for entry in site.rows("show", row["id"])
    ]
    assert "echo through; cat; exit 7" in texts
    assert any("200000" in (text or "") for text in texts)
    assert all(each["status"] == "complete" for each in site.rows("verify", *(row["id"] for row in rows)))
    assert site.said("agent.connected")[-1]["targets"] == ["prod-db", "prod-web"]


@pytest.mark.parametrize("protocol", ["psql", "ssh"])
def test_an_agent_that_is_killed_ends_its_session_with_the_reason(site: Site, protocol: str) -> None:
    name = f"relay-{protocol}"
    state = site.enrol(name, "prod-db", "prod-web")
    with site.agent(state) as process:
        if protocol == "psql":
            client = site.psql("SELECT pg_sleep(101)")
            site.asleep(101)
        else:
            client = site.ssh("echo begun; sleep 100")
            assert client.stdout is not None
            assert client.stdout.readline() == "begun\n"
        process.kill()
        code, _, error = finished(client)
    assert code == (2 if protocol == "psql" else 1), error
    led = "prod-db" if protocol == "psql" else "prod-web"
    assert f"the agent {name}, which led to {led}, was lost" in error
    (row,) = site.sealed()
    assert (row["target"], row["reason"]) == (led, "upstream")
    assert site.rows("verify", row["id"])[0]["status"] == "complete"
    site.until(lambda: any(e["agent"] == name for e in site.said("agent.lost")), "agent.lost")


def test_a_cancel_request_takes_the_same_way(site: Site) -> None:
    with site.agent(site.enrol("relay-cancel", "prod-db")):
        where = f"host=127.0.0.1 port={site.port('postgres')} user=prod-db sslmode=verify-full"
        ca = f"sslrootcert={site.data_dir / 'ca.pem'}"
        with (
            psycopg.connect(f"{where} {ca}", password=site.alice) as connection,
            ThreadPoolExecutor(1) as pool,
        ):
            asleep = pool.submit(connection.execute, "SELECT pg_sleep(102)")
            site.asleep(102)
            connection.cancel_safe()
            with pytest.raises(psycopg.errors.QueryCanceled):
                asleep.result(PATIENCE)
    site.sealed()


def test_a_revoked_agent_is_cut_at_once_and_its_sessions_end(site: Site) -> None:
    state = site.enrol("relay-3", "prod-db")
    with site.agent(state) as process:
        client = site.psql("SELECT pg_sleep(103)")
        site.asleep(103)
        assert site.run("agent", "revoke", "relay-3") == "relay-3: revoked\n"
        code, _, error = finished(client)
        assert (code, "the agent relay-3, which led there, was revoked" in error) == (2, True), error
        assert process.wait(PATIENCE) == 1
    assert b"this agent was revoked" in (state / "log").read_bytes()
    again = site.far("--state", str(state))
    assert again.returncode == 1
    assert "is not known, or was revoked" in again.stderr
    site.sealed()
    assert [event["agent"] for event in site.said("agent.revoked")] == ["relay-3"]
    assert site.said("agent.refused")[-1]["reason"] == "no such agent, or it was revoked"
    rows = {row["agent"]: row for row in site.rows("agent", "ls")}
    assert rows["relay-3"]["status"] == "revoked"


def test_another_agent_takes_over_from_one_that_does_not_answer(site: Site) -> None:
    first, second = site.enrol("relay-4", "prod-db"), site.enrol("relay-5", "prod-db")
    with site.agent(first) as frozen, site.agent(second):
        frozen.send_signal(signal.SIGSTOP)
        for number in "1", "2", "3":
            code, out, error = finished(site.psql(f"SELECT {number}"))
            assert (code, out) == (0, f"{number}\n"), error
    assert len(site.sealed()) == 3


def test_an_agent_comes_back_after_the_gateway_did(site: Site) -> None:
    state = site.enrol("relay-6", "prod-db")
    with site.agent(state):
        port = site.port("https")
        before = len(site.said("agent.connected"))
        site.stop()
        site.settings["listeners"][0]["bind"] = f"127.0.0.1:{port}"
        site.configure(site.settings)
        site.start()
        assert site.port("https") == port
        site.until(lambda: len(site.said("agent.connected")) > before, "the agent again")
        assert finished(site.psql("SELECT 6"))[1] == "6\n"
    site.sealed()


def test_a_token_enrols_once(site: Site, tmp_path: Path) -> None:
    token = site.run("agent", "issue", "--name", "relay-7", "--target", "prod-db").strip()
    ca = ("--ca", str(site.data_dir / "ca.pem"))
    for number, code in ((1, 0), (2, 2)):
        state = ("--state", str(tmp_path / str(number)))
        done = site.far("enroll", site.url, *ca, *state, RECGATE_AGENT_TOKEN=token)
        assert done.returncode == code, done.stderr
    assert "this one-time token is not good, or not any more" in done.stderr
    assert not (tmp_path / "2" / "key.pem").exists()
    assert token not in (site.data_dir / "agents.json").read_text() + site.log()
    other = site.far("enroll", site.url, *ca, "--state", str(tmp_path / "1"), RECGATE_AGENT_TOKEN=token)
    assert "an agent is enrolled here already" in other.stderr


def test_the_gateways_ca_is_pinned(site: Site, tmp_path: Path) -> None:
    token = site.run("agent", "issue", "--name", "relay-8", "--target", "prod-db").strip()
    for words in ((), ("--ca", str(site.cluster.authority.path))):
        state = ("--state", str(tmp_path / "state"))
        done = site.far("enroll", site.url, *words, *state, RECGATE_AGENT_TOKEN=token)
        assert done.returncode == 2
        assert "certificate verify failed" in done.stderr


def test_only_targets_that_are_reached_by_agents_can_be_offered(site: Site) -> None:
    assert "there is no target" in site.command("agent", "issue", "--name", "x", "--target", "nowhere").stderr
    assert site.command("agent", "issue", "--name", "../x", "--target", "prod-db").returncode == 2
    long = site.command("agent", "issue", "--name", "x", "--target", "prod-db", "--ttl", "8d")
    assert "at most a day" in long.stderr
    assert site.command("agent", "revoke", "nobody").returncode == 1
