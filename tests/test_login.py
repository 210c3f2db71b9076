"""A person signs in at a real provider and gateway by `recgate login`, works with it, and signs out."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from recgate.testing.process import GatewayProcess
from tests.peers.oidcprovider import SECRET, Browser, OidcProvider
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.peers.sshd import Sshd

PATIENCE = 60
ADDRESS = re.compile(r"^  (https://\S+)$", re.MULTILINE)


class Gate(GatewayProcess):
    """A gateway for sign-ins at `corp`, with a database and a host behind it that `group:ops` may open."""

    def __init__(self, directory: Path, provider: OidcProvider, cluster: Cluster, sshd: Sshd) -> None:
        secret = directory / "client.secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        corp = {
            "name": "corp",
            "issuer": provider.issuer,
            "client_id": "gateway",
            "client_secret_file": str(secret),
            "ca": str(provider.ca),
            "scopes": ["openid", "groups", "profile", "offline_access"],
            "poll": "200ms",
        }
        database, web = cluster.target("prod-db"), sshd.target("prod-web")
        config = {
            "listeners": [{"protocol": each, "bind": "127.0.0.1:0"} for each in ("https", "ssh", "postgres")],
            "targets": [database, web, {**database, "name": "vault-db", "require": {"acr": ["mfa"]}}],
            "identity": [{"oidc": corp}, {"local": {}}],
            "observers": [{"jsonl": {}}],
            "limits": {"recheck": "200ms"},
        }
        super().__init__(directory, config)
        self._sshd = sshd
        self._seen: set[str] = set()

    def __enter__(self) -> Gate:
        for name in ("prod-db", "vault-db"):
            secret = ("secret", "set", name, "--username", "scram_user", "--password-stdin")
            self.run(*secret, stdin=PASSWORD + "\n")
        key = str(self._sshd.user_key)
        self.run("secret", "set", "prod-web", "--username", self._sshd.user, "--key-file", key)
        super().__enter__()
        return self

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port('https')}"

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


class Machine:
    """Somebody's machine: a home, perhaps a display, and a browser that only notes where it was sent."""

    def __init__(self, gate: Gate, directory: Path, *, display: bool = False) -> None:
        self.gate = gate
        self.home = directory / "machine"
        self.home.mkdir()
        self.config = self.home / ".config" / "recgate"
        self.opened = self.home / "opened"
        browser = self.home / "browser"
        browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {shlex.quote(str(self.opened))}\n')
        browser.chmod(0o700)
        left = ("RECGATE_", "SSH_", "DISPLAY", "WAYLAND_", "XDG_", "BROWSER")
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith(left)}
        self.environment |= {"HOME": str(self.home), "BROWSER": f"{browser} %s", "PSQLRC": "/dev/null"}
        if display:
            self.environment["DISPLAY"] = ":nowhere"

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "recgate", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environment, **more},
            cwd=self.home,
        )

    def run(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **more)
        out, error = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(words, process.returncode, out, error)

    def sign_in(self, browser: Browser, *words: str) -> subprocess.CompletedProcess[str]:
        """`recgate login`, with somebody who follows the address that it shows."""
        process, address = self.begin(*words)
        browser.visit(address)
        return finished(process)

    def begin(self, *words: str) -> tuple[subprocess.Popen[str], str]:
        """`recgate login` until it shows an address."""
        known = (
            [] if (self.config / "gateways.json").exists() else ["--ca", str(self.gate.data_dir / "ca.pem")]
        )
        process = self.start("login", *([] if not known else [self.gate.url]), *known, *words)
        assert process.stderr is not None
        shown = ""
        while not (found := ADDRESS.search(shown)):
            line = process.stderr.readline()
            assert line, shown
            shown += line
        return process, found[1]

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Type a line that was printed."""
        return subprocess.run(
            ["sh", "-c", line],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=self.environment,
            stdin=subprocess.DEVNULL,
        )

    def whoami(self) -> dict[str, Any]:
        done = self.run("whoami", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def token(self) -> str:
        return json.loads((self.config / "tokens.json").read_text())[self.gate.url]["token"]

    def files(self) -> dict[str, int]:
        """What there is, and who may read it."""
        return {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.config.iterdir()}


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, error = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider) -> Iterator[Gate]:
    with Cluster(debian_bin(), tls=False) as cluster, Sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        with Gate(tmp_path_factory.mktemp("gate"), provider, cluster, sshd) as running:
            yield running


@pytest.fixture(autouse=True)
def _alice(provider: OidcProvider) -> None:
    provider.set_user("alice", groups=["ops"], preferred_username="alice")


@pytest.fixture
def alice(provider: OidcProvider) -> Iterator[Browser]:
    with Browser(provider, "alice") as browser:
        yield browser


def by_ssh(machine: Machine, *words: str) -> str:
    """The line that `recgate targets` prints, on a machine that has no other keys and knows the host CA."""
    rows = [json.loads(line) for line in machine.run("targets", "--json").stdout.splitlines()]
    line = next(row["line"] for row in rows if row["name"] == "prod-web")
    known = machine.home / "known_hosts"
    known.write_text(f"@cert-authority * {(machine.gate.data_dir / 'ssh_host_ca.pub').read_text()}")
    options = f"-F none -o BatchMode=yes -o UserKnownHostsFile={known} -o GlobalKnownHostsFile=/dev/null"
    return f"{line.replace('ssh ', f'ssh {options} ', 1)} {shlex.join(words)}"


def test_by_browser_then_psql_and_ssh_and_out_again(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    machine = Machine(gate, tmp_path, display=True)
    process, address = machine.begin()
    gate.until(machine.opened.exists, "a browser that was opened")
    page = alice.visit(address)
    done = finished(process)

    assert done.returncode == 0, done.stderr
    assert machine.opened.read_text() == address
    assert page.url.host == "127.0.0.1"
    assert "Back to the terminal" in page.text
    assert f"signed in at {gate.url} as alice by corp, until " in done.stdout
    assert "groups: ops\n" in done.stdout
    files = machine.files()
    assert {files[name] for name in files if name.startswith(("tokens", "id-"))} == {0o600}
    assert len(files) == 4  # gateways, tokens, key, certificate

    with connected(machine, "prod-db") as line:
        assert machine.shell(f"{line} -Atwc 'SELECT 42'").stdout == "42\n"
    by_certificate = machine.shell(by_ssh(machine, "echo", "in"))
    assert by_certificate.stdout == "in\n", by_certificate.stderr
    rows = gate.sealed()
    assert {(row["user"], row["target"]) for row in rows} == {("alice", "prod-db"), ("alice", "prod-web")}

    row = machine.whoami()
    assert (row["user"], row["groups"], row["source"], row["method"]) == ("alice", ["ops"], "corp", "login")
    assert row["expires"] > row["ssh_certificate_expires"] > time.time()
    assert max(each["within"] for each in row["endings"]) == pytest.approx(0.4)

    token = machine.token()
    line = by_ssh(machine, "cat")
    session = subprocess.Popen(
        ["sh", "-c", line], stdin=-1, stdout=-1, stderr=-1, text=True, env=machine.environment
    )
    gate.until(lambda: gate.rows("sessions", "--live"), "a live session")
    out = machine.run("logout")
    assert (out.returncode, out.stdout) == (0, f"signed out at {gate.url}\n"), out.stderr
    assert session.wait(PATIENCE) != 0
    session.communicate()
    assert [each["reason"] for each in gate.sealed()] == ["revoked"]
    assert set(machine.files()) == {"gateways.json", "tokens.json"} | {
        name for name in machine.files() if name.startswith("ca-")
    }
    assert token not in (machine.config / "tokens.json").read_text()
    assert machine.run("whoami").returncode == 2
    for name, text in (("RECGATE_TOKEN", token), ("RECGATE_CA", str(gate.data_dir / "ca.pem"))):
        machine.environment[name] = text
    again = machine.run("whoami", "--url", gate.url)
    assert (again.returncode, "has ended or was revoked" in again.stderr) == (2, True)
    assert token not in gate.log() + (gate.data_dir / "audit.jsonl").read_text()


class connected:  # noqa: N801 - used as a function
    """`recgate connect` while a block lasts; gives the line to type."""

    def __init__(self, machine: Machine, target: str) -> None:
        self._process = machine.start("connect", target, "--json")

    def __enter__(self) -> str:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())["line"]

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE)


def test_by_a_code_on_another_machine(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    machine = Machine(gate, tmp_path)
    done = machine.sign_in(alice, "--no-ssh")

    assert done.returncode == 0, done.stderr
    assert not machine.opened.exists()
    assert machine.whoami()["user"] == "alice"
    assert not [name for name in machine.files() if name.startswith("id-")]
    through = machine.run("ssh", "prod-web", "-F", "none", "-o", "BatchMode=yes", "echo by token")
    assert (through.returncode, through.stdout) == (0, "by token\n"), through.stderr
    assert [row["user"] for row in gate.sealed()] == ["alice"]


@pytest.mark.parametrize("flow", ["--browser", "--device"])
def test_who_says_no_is_not_signed_in(gate: Gate, provider: OidcProvider, tmp_path: Path, flow: str) -> None:
    machine = Machine(gate, tmp_path)
    with Browser(provider, "alice", deny=True) as refusing:
        done = machine.sign_in(refusing, flow)

    assert done.returncode == 1, done.stderr
    assert "refused" in done.stderr
    assert not (machine.config / "tokens.json").exists()


@pytest.mark.parametrize(
    ("changed", "status"), [({"iss": "https://evil.example"}, 2), ({"code": "stolen"}, 1)]
)
def test_an_answer_that_is_not_the_providers_signs_nobody_in(
    gate: Gate, alice: Browser, tmp_path: Path, changed: dict[str, str], status: int
) -> None:
    machine = Machine(gate, tmp_path)
    process, address = machine.begin("--browser")
    back = parse_qs(urlsplit(address).query)["redirect_uri"][0]
    answer = urlsplit(alice.sent_to(address, back))
    fields = {name: values[0] for name, values in parse_qs(answer.query).items()}
    assert httpx2.get(back, params={**fields, "state": "another"}).status_code == 400
    assert httpx2.get(f"{back}?{urlencode({**fields, **changed})}").status_code == 200
    done = finished(process)

    assert done.returncode == status, done.stderr
    assert not (machine.config / "tokens.json").exists()
    assert "Traceback" not in done.stderr


def test_a_target_that_demands_more_says_how_and_opens_then(
    gate: Gate, provider: OidcProvider, alice: Browser, tmp_path: Path
) -> None:
    machine = Machine(gate, tmp_path)
    assert machine.sign_in(alice, "--no-ssh").returncode == 0
    refused = machine.run("connect", "vault-db")
    assert refused.returncode == 1
    (command,) = re.findall("`recgate (login [^`]*)`", refused.stderr)

    for flow in ("--device", "--browser"):
        with Browser(provider, "alice") as stronger:
            done = machine.sign_in(stronger, *shlex.split(command)[1:], flow, "--no-ssh")
        assert done.returncode == 0, done.stderr
        assert machine.whoami()["acr"] == "mfa"
    with connected(machine, "vault-db") as line:
        assert machine.shell(f"{line} -Atwc 'SELECT 7'").stdout == "7\n"
    gate.sealed()


def test_a_fresh_sign_in_is_one_made_now(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    machine = Machine(gate, tmp_path)
    assert machine.sign_in(alice, "--browser", "--no-ssh").returncode == 0
    began = int(time.time())
    gate.until(lambda: int(time.time()) > began, "the next second")
    assert machine.sign_in(alice, "--browser", "--fresh", "--no-ssh").returncode == 0
    assert machine.whoami()["auth_time"] >= began + 1


@pytest.mark.parametrize("what", ["group", "sign-in"])
def test_what_the_provider_takes_back_ends_early_as_whoami_says(
    gate: Gate, provider: OidcProvider, alice: Browser, tmp_path: Path, what: str
) -> None:
    """Threat 6."""
    machine = Machine(gate, tmp_path)
    assert machine.sign_in(alice, "--browser").returncode == 0
    endings = " ".join(each["what"] for each in machine.whoami()["endings"])
    session = subprocess.Popen(
        ["sh", "-c", by_ssh(machine, "cat")],
        stdin=-1,
        stdout=-1,
        stderr=-1,
        text=True,
        env=machine.environment,
    )
    gate.until(lambda: gate.rows("sessions", "--live"), "a live session")
    if what == "group":
        provider.set_user("alice", groups=["dev"])
    else:
        provider.revoke("alice")

    assert session.wait(PATIENCE) != 0
    _, told = session.communicate()
    assert "sign in again" in told
    assert "a group is taken away" in endings
    assert "the provider takes back" in endings
    assert [row["reason"] for row in gate.sealed()] == ["revoked"]


def test_an_unknown_gateway_is_not_believed(gate: Gate, tmp_path: Path) -> None:
    machine = Machine(gate, tmp_path)
    refused = machine.run("login", gate.url)
    assert refused.returncode == 2
    shown = subprocess.run(
        ["openssl", "x509", "-in", gate.data_dir / "ca.pem", "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    )
    mark = shown.stdout.strip().partition("=")[2]
    assert mark in refused.stderr
    assert "Nothing was sent" in refused.stderr
    assert not machine.config.exists()
    wrong = machine.run("login", gate.url, "--fingerprint", mark[3:] + ":00")
    assert (wrong.returncode, "not the fingerprint given" in wrong.stderr) == (2, True)
    process = machine.start("login", gate.url, "--fingerprint", mark, "--device")
    assert process.stderr is not None
    assert "Sign in with any browser" in process.stderr.readline()
    process.terminate()
    process.communicate(timeout=PATIENCE)
