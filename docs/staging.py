"""What the pages with examples find around them: servers, and for guides the gateway that the tutorial ends with.

A page's front matter says what it needs:

    needs: postgres sshd    real servers behind 127.0.0.1:5432 and 127.0.0.1:22, with `db-ca.pem` and `web_key`
    needs: openbao          an empty OpenBao behind 127.0.0.1:8200 with `vault-ca.pem`; `bao` is root there
    ports: 2222 15432       ports of the text that free ones stand for
    begins: running         the tutorial's configuration, secrets, alice with `token` and `alice_key`, a running gateway
    begins: stopped         the same, and the page starts the gateway itself
    signed-in: alice        commands of a client find the gateway, its CA and alice's token, at port 8443

PostgreSQL is Debian's with TLS: a database `app`, and a role `app` whose password is `keep-this-secret`. The SSH
server knows the account `deploy`, which is whoever runs this.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final

from docs.examples import Program, Stage, blocks_of, front_matter
from tests.peers.openbao import OpenBao
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd, free_port

__all__ = ["PASSWORD", "SAMPLE", "Servers", "stage_for"]

ROOT: Final = Path(__file__).resolve().parents[1]
TUTORIAL: Final = ROOT / "docs" / "tutorial" / "index.md"
PASSWORD: Final = "keep-this-secret"  # noqa: S105 - of a database that lives as long as one test

SAMPLE: Final = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, card text);
INSERT INTO customers VALUES
  (1, 'Ada Lovelace', 'ada@example.com', '4111 1111 1111 1111'),
  (2, 'Grace Hopper', 'grace@example.com', '5500 0000 0000 0004'),
  (3, 'Edsger Dijkstra', 'edsger@example.com', '3400 000000 00009');
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers, total numeric(10, 2));
INSERT INTO orders SELECT n, 1 + n % 3, 12.50 * n FROM generate_series(1, 40) n;
ALTER TABLE customers OWNER TO app;
ALTER TABLE orders OWNER TO app;
"""

# What the tutorial does to arrive where guides begin, without what it shows on the way.
_PREPARE: Final = """
recgate secret set prod-db --username app --password-stdin <<< keep-this-secret
recgate secret set prod-web --username {account} --key-file web_key
recgate user add alice --group dba --group sre
recgate token issue --user alice > token
ssh-keygen -q -t ed25519 -N '' -C alice -f alice_key
recgate key add --user alice alice_key.pub
"""


class Servers:
    """The real servers of a test run, each started when a page first needs it; ended with the `with` block."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running = ExitStack()

    def __enter__(self) -> Servers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    @cached_property
    def postgres(self) -> Cluster:
        """PostgreSQL with the sample data."""
        cluster = self._running.enter_context(Cluster(debian_bin(), tls=True))
        cluster.psql(f"CREATE ROLE app LOGIN CREATEDB PASSWORD '{PASSWORD}'")
        cluster.psql("CREATE DATABASE app OWNER app")
        cluster.psql(f"CREATE ROLE vault LOGIN CREATEROLE PASSWORD '{PASSWORD}'")
        cluster.psql(SAMPLE, database="app")
        return cluster

    @cached_property
    def sshd(self) -> Sshd:
        """OpenSSH's server."""
        directory = self.directory / "sshd"
        directory.mkdir()
        return self._running.enter_context(Sshd(directory))

    def openbao(self) -> OpenBao:
        """Another OpenBao, with nothing in it."""
        return self._running.enter_context(OpenBao())

    def words(self) -> dict[str, str]:
        """What stands for the addresses and the account in the text."""
        return {
            "127.0.0.1:5432": f"127.0.0.1:{self.postgres.port}",
            "127.0.0.1:22": f"127.0.0.1:{self.sshd.port}",
            "-p 22": f"-p {self.sshd.port}",
            "deploy": getpass.getuser(),
        }

    def hand_out(self, directory: Path) -> None:
        """Put the files that the text takes for granted where a page plays."""
        shutil.copy(self.postgres.authority.path, directory / "db-ca.pem")
        shutil.copy(self.sshd.user_key, directory / "web_key")

    @cached_property
    def prepared(self) -> Path:
        """A directory in the state in which guides begin, but for ports."""
        directory = self.directory / "prepared"
        directory.mkdir()
        self.hand_out(directory)
        _write_files(directory, {"2222": "2222", "15432": "15432", **self.words()})
        host, key = f"[127.0.0.1]:{self.sshd.port}", self.sshd.host_key_line
        (directory / "target-hosts").write_text(f"{host} {key}\n")
        subprocess.run(
            ["bash", "-euc", _PREPARE.format(account=getpass.getuser())],
            cwd=directory,
            env={**os.environ, **environment(directory)},
            check=True,
            capture_output=True,
        )
        return directory


def _write_files(directory: Path, words: Mapping[str, str]) -> None:
    """Write the files of the tutorial: its configuration, and the client's."""
    stage = Stage(directory, words)
    for block in blocks_of(TUTORIAL.read_text(encoding="utf-8")):
        if block.caption:
            (directory / block.caption).write_text(stage.played(block.text), encoding="utf-8")


@contextmanager
def stage_for(page: Path, directory: Path, servers: Servers) -> Iterator[Stage]:
    """Give the stage of a page; the gateway that it began with ends with the block."""
    head = front_matter(page.read_text(encoding="utf-8"))
    words = {port: str(free_port()) for port in head.get("ports", "").split()}
    begins = head.get("begins", "")
    if begins or head.get("needs"):
        words |= servers.words()
    if not begins:
        if head.get("needs"):
            servers.hand_out(directory)
        yield Stage(directory, words, environment(directory))
        return
    words |= {port: str(free_port()) for port in ("2222", "15432")}
    shutil.copytree(servers.prepared, directory, dirs_exist_ok=True)
    around = environment(directory)
    if "openbao" in head.get("needs", "").split():
        bao = servers.openbao()
        words["127.0.0.1:8200"] = f"127.0.0.1:{bao.port}"
        shutil.copy(bao.authority.path, directory / "vault-ca.pem")
        around |= {"BAO_ADDR": bao.address, "BAO_CACERT": "vault-ca.pem", "BAO_TOKEN": bao.root}
    if head.get("signed-in"):
        around |= {
            "RECGATE_URL": f"https://127.0.0.1:{words['8443']}",
            "RECGATE_CA": str(directory / "recgate-data" / "ca.pem"),
            "RECGATE_TOKEN": (directory / "token").read_text().strip(),
        }
    _write_files(directory, words)
    host_key = directory / "recgate-data" / "ssh_host_ed25519.pub"
    stage = Stage(directory, words, around)
    if begins == "stopped":
        yield stage
        return
    gateway = Program(stage, "recgate serve")
    try:
        gateway.wait_for("ready", "the gateway of the tutorial")
        (directory / "gate-hosts").write_text(f"[127.0.0.1]:{words['2222']} {host_key.read_text()}")
        pid = {"\"$(pgrep -f 'recgate serve')\"": str(gateway.process.pid)}
        yield Stage(directory, {**words, **pid}, environment(directory))
    finally:
        gateway.stop()


def environment(directory: Path) -> dict[str, str]:
    """What a reader's shell has: the commands on PATH, and nothing of the account that runs this."""
    return {
        "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}:/usr/sbin",
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": "110",
        "PAGER": "cat",
        "PSQLRC": "/dev/null",
        "PSQL_HISTORY": "/dev/null",
        "SSH_AUTH_SOCK": "",
        "PGPASSFILE": str(directory / "none"),
    }
