"""What a user can never have (law 4): canaries are put into every kind of vault and looked for in all that is written.

Sessions run with them and fail with them, by `psql` and `ssh`, with the log at its most talkative. Then everything the
gateway wrote or said is searched: its directory, recordings taken apart, transcripts, metrics, what clients were told,
and what the kernel shows of the gateway and its children.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from recgate import config as configuration
from recgate.cli import main
from recgate.plugins import Registry
from recgate.recording.reader import open_archive
from recgate.testing.process import GatewayProcess
from tests.peers.canary import Canary, Page
from tests.peers.openbao import OpenBao
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd, keygen

PATIENCE = 60
VAULTS = {"sealed": "local", "env": "env", "file": "file", "command": "command", "openbao": "hv"}
# What each vault lends, by the target's kind: one that is right, and others that the target refuses.
DATABASES = {"pg": "", "pg-bad": "scram_user", "pg-clear": "clear_user", "pg-md5": "md5_user"}
MACHINES = ("ssh", "ssh-bad-key", "ssh-bad-password")

COMMAND = """
for pid in $$ $PPID $(cat /proc/$PPID/task/*/children); do
    cat /proc/$pid/environ /proc/$pid/cmdline >>"$0.seen" 2>/dev/null
done
cat "${0%/*}/command/$1"
"""


@dataclass
class Nest:
    """The vaults' inputs, outside of what the gateway writes; and the canaries in them."""

    directory: Path
    account: str
    canaries: list[Canary] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    sealed: dict[str, dict[str, str]] = field(default_factory=dict)
    told: list[bytes] = field(default_factory=list)

    def lay(self, vault: str, kind: str, credential: dict[str, str], bao: OpenBao) -> None:
        """Put a credential into a vault as `kind`."""
        text = json.dumps(credential)
        match vault:
            case "sealed":
                self.sealed[kind] = credential
            case "env":
                self.environment[f"RECGATE_SECRET_{kind.upper().replace('-', '_')}"] = text
            case "openbao":
                bao(f"secret/data/{kind}", {"data": credential})
            case _:
                place = self.directory / vault / kind
                place.parent.mkdir(exist_ok=True)
                place.touch(mode=0o600)
                place.write_text(text)

    def password(self, name: str) -> str:
        """Make a canary that is a password."""
        self.canaries.append(Canary.password(name))
        return self.canaries[-1].text

    def key(self, name: str) -> tuple[str, str]:
        """Make a canary that is a key; gives it and its public half."""
        path = keygen(self.directory / name)
        self.canaries.append(Canary.key(name, path))
        return self.canaries[-1].text, path.with_suffix(".pub").read_text()


def filled(nest: Nest, cluster: Cluster, sshd: Sshd, bao: OpenBao) -> None:
    """Lay canaries into every vault; the right ones are known to the targets."""
    known = sshd.directory / "authorized_keys"
    for vault in VAULTS:
        for kind, role in DATABASES.items():
            secret = nest.password(f"{vault} {kind}")
            if not role:
                quoted = secret.replace("'", "''")
                cluster.psql(f"CREATE ROLE canary_{vault} LOGIN PASSWORD '{quoted}'")
            nest.lay(vault, kind, {"username": role or f"canary_{vault}", "password": secret}, bao)
        for kind in MACHINES[:2]:
            private, public = nest.key(f"{vault}_{kind}")
            if kind == "ssh":
                with known.open("a") as lines:
                    lines.write(public)
            nest.lay(vault, kind, {"username": nest.account, "private_key": private}, bao)
        secret = nest.password(f"{vault} ssh-bad-password")
        nest.lay(vault, "ssh-bad-password", {"username": nest.account, "password": secret}, bao)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(debian_bin(), tls=True) as running:
        yield running


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    settings = {"PasswordAuthentication": "yes", "LogLevel": "DEBUG1"}
    with Sshd(tmp_path_factory.mktemp("sshd"), settings) as server:
        yield server


@pytest.fixture(scope="module")
def bao() -> Iterator[OpenBao]:
    with OpenBao() as server:
        server.mount("secret", "kv", {"version": "2"})
        server.policy("gate", **{"secret/data/*": "read"})
        yield server


@pytest.fixture
def nest(tmp_path: Path, cluster: Cluster, sshd: Sshd, bao: OpenBao) -> Nest:
    directory = tmp_path / "nest"
    directory.mkdir()
    made = Nest(directory, sshd.user)
    filled(made, cluster, sshd, bao)
    return made


@pytest.fixture
def gate(
    tmp_path: Path, nest: Nest, cluster: Cluster, sshd: Sshd, bao: OpenBao, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GatewayProcess]:
    (tmp_path / "gate").mkdir()
    process = GatewayProcess(tmp_path / "gate", config(nest, cluster, sshd, bao))
    said(process, "user", "add", "alice")
    for kind, credential in nest.sealed.items():
        words = ["secret", "set", kind, "--username", credential["username"]]
        if "password" in credential:
            said(process, *words, "--password-stdin", stdin=credential["password"] + "\n")
        else:
            said(process, *words, "--key-file", str(nest.directory / f"sealed_{kind}"))
    with monkeypatch.context() as patch:
        for name, value in nest.environment.items():
            patch.setenv(name, value)
        process.start()
    try:
        yield process
    finally:
        process.stop()


def config(nest: Nest, cluster: Cluster, sshd: Sshd, bao: OpenBao) -> dict[str, object]:
    token = nest.directory / "vault-token"
    token.touch(mode=0o600)
    token.write_text(bao.token("gate", period="1h"))
    nest.canaries.append(Canary.word("the gateway's own token at the vault", token.read_text()))
    program = nest.directory / "lend"
    program.write_text(COMMAND)
    targets = []
    for vault, name in VAULTS.items():
        for kind in (*DATABASES, *MACHINES):
            where = f"secret/{kind}" if vault == "openbao" else kind
            machine = {"host_key": sshd.host_key_line}
            database = {"database": "postgres", "ca": str(cluster.authority.path)}
            is_machine = kind in MACHINES
            target: dict[str, object] = {
                "name": f"{kind}-{vault}",
                "protocol": "ssh" if is_machine else "postgres",
                "address": f"127.0.0.1:{sshd.port if is_machine else cluster.port}",
                "options": machine if is_machine else database,
                "credential": f"{name}:{where}",
                "allow": ["user:alice"],
            }
            targets.append(target)
    auth = {"token": {"file": str(token)}}
    return {
        "log": {"level": "debug"},
        "listeners": [
            {"protocol": each, "bind": "127.0.0.1:0", **more}
            for each, more in (("postgres", {"tls": "require"}), ("ssh", {}), ("metrics", {}))
        ],
        "vaults": [
            {"sealed": {"name": "local"}},
            {"env": {}},
            {"file": {"directory": str(nest.directory / "file")}},
            {"command": {"run": ["/bin/sh", str(program)]}},
            {"vault": {"name": "hv", "address": bao.address, "ca": str(bao.authority.path), "auth": auth}},
        ],
        "targets": targets,
    }


class Users:
    """Real clients. What they are told is kept in the nest."""

    def __init__(self, gate: GatewayProcess, nest: Nest) -> None:
        self._gate, self._nest = gate, nest
        self._token = gate.token("alice")
        nest.canaries.append(Canary.word("alice's token", self._token))
        key = keygen(nest.directory / "alice")
        gate.run("key", "add", "--user", "alice", f"{key}.pub")
        known = nest.directory / "known_hosts"
        known.write_text(f"@cert-authority * {(gate.data_dir / 'ssh_host_ca.pub').read_text()}")
        options = f"BatchMode=yes IdentitiesOnly=yes IdentityFile={key} UserKnownHostsFile={known}".split()
        words = [part for option in options for part in ("-o", option)]
        self._ssh = ["ssh", "-vvv", "-F", "none", *words, "-p", str(gate.port("ssh"))]

    def place(self, target: str) -> str:
        """Give the words of a connection string."""
        port, ca = self._gate.port("postgres"), self._gate.data_dir / "ca.pem"
        return f"host=127.0.0.1 port={port} user={target} sslmode=verify-full sslrootcert={ca}"

    def connect(self, target: str) -> psycopg.Connection:
        """Open a session that stays."""
        return psycopg.connect(self.place(target), password=self._token, autocommit=True)

    def psql(self, target: str) -> subprocess.CompletedProcess[bytes]:
        """Ask a database who one is there."""
        line = ["psql", "-X", "-A", "-t", "-c", "SELECT session_user", self.place(target)]
        return self._run(line, {**os.environ, "PGPASSWORD": self._token})

    def ssh(self, target: str) -> subprocess.CompletedProcess[bytes]:
        """Have a machine show all that it was given."""
        return self._run([*self._ssh, f"{target}@127.0.0.1", "env; echo in"], dict(os.environ))

    def _run(self, line: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(line, env=env, capture_output=True, timeout=PATIENCE, check=False)
        self._nest.told += [done.stdout, done.stderr]
        return done


def use_everything(users: Users) -> None:
    for vault in VAULTS:
        done = users.psql(f"pg-{vault}")
        assert done.stdout == f"canary_{vault}\n".encode(), done.stderr
        for kind in (kind for kind, role in DATABASES.items() if role):
            assert users.psql(f"{kind}-{vault}").returncode == 2, kind
        done = users.ssh(f"ssh-{vault}")
        assert done.stdout.endswith(b"in\n"), done.stderr
        for kind in MACHINES[1:]:
            done = users.ssh(f"{kind}-{vault}")
            assert done.returncode != 0, kind
            assert b"in\n" not in done.stdout, kind


def said(gate: GatewayProcess, *words: str, stdin: str = "") -> bytes:
    """Run a command in this process, since there are many, and give its output."""
    done = CliRunner().invoke(main, ["--config", str(gate.config_file), *words], input=stdin)
    assert done.exit_code in (0, 1), done.output  # 1: the answer is no, as of a recording that is live
    return done.output_bytes


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def written(gate: GatewayProcess, nest: Nest) -> dict[str, bytes]:
    """Give everything that the gateway wrote, said or shows, by where it was found."""
    found = {str(path): path.read_bytes() for path in gate.directory.rglob("*") if path.is_file()}
    settings = configuration.load(gate.config_file)
    archive = open_archive(settings, Registry.of(settings))
    for session in archive.sessions():
        found[f"recording {session}"] = b"".join(frame.data for frame in archive.frames(session))
        for words in (("show", session), ("show", session, "--json"), ("verify", session, "--json"),
                      ("export", session, "--format", "jsonl")):  # fmt: skip
            found[" ".join(words)] = said(gate, *words)
    page = f"http://127.0.0.1:{gate.port('metrics')}/metrics"
    with urllib.request.urlopen(page, timeout=PATIENCE) as answer:
        found["metrics"] = answer.read()
    found["what clients were told"] = b"\n".join(nest.told)
    for pid in (gate.pid, *children(gate.pid)):
        assert "Max core file size        0                    0 " in Path(f"/proc/{pid}/limits").read_text()
        for name in ("cmdline", "environ"):
            found[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    found["what a vault's command saw"] = (nest.directory / "lend.seen").read_bytes()
    return found


def leaks(canaries: list[Canary], found: dict[str, bytes]) -> list[str]:
    return [
        f"{canary.name}: {shape} in {where}"
        for where, data in found.items()
        for page in [Page(data)]
        for canary in canaries
        if (shape := canary.found_in(page))
    ]


@pytest.mark.timeout(400)
def test_law_4_no_secret_of_any_vault_is_in_anything_that_the_gateway_wrote(
    gate: GatewayProcess, nest: Nest, cluster: Cluster, sshd: Sshd
) -> None:
    users = Users(gate, nest)
    use_everything(users)
    with users.connect("pg-file") as connection:  # one is live while all is searched
        connection.execute("SELECT 1")
        gate.until(lambda: len(gate.rows("sessions", "--live")) == 1, "the others ended")
        found = written(gate, nest)

    assert leaks(nest.canaries, found) == []
    sessions = [where for where in found if where.startswith("recording ")]
    assert len(sessions) > 2 * len(VAULTS)
    assert any(b"SELECT session_user" in found[where] for where in sessions)
    assert found["what a vault's command saw"].count(b"PATH=") > len(MACHINES)
    audit = (gate.data_dir / "audit.jsonl").read_text()
    # They were used: the targets refused each of the wrong ones.
    for vault in VAULTS:
        for kind in (*[kind for kind, role in DATABASES.items() if role], *MACHINES[1:]):
            assert f'"target":"{kind}-{vault}"' in audit.replace('": "', '":"'), kind
