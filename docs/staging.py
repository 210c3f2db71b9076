"""What the pages with examples find around them: the servers that a page's front matter says it needs.

`needs: postgres` gives a real PostgreSQL with TLS behind 127.0.0.1:5432: a database `app`, a role `app` with the
password `keep-this-secret`, its authority in `db-ca.pem`. `needs: sshd` gives a real OpenSSH server behind
127.0.0.1:22 that knows the account `deploy` by the key `web_key`. Ports named by `ports:` are replaced by free ones.
"""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from docs.examples import Stage, front_matter
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd, free_port

__all__ = ["SAMPLE", "stage_for"]

ROOT: Final = Path(__file__).resolve().parents[1]

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
PASSWORD: Final = "keep-this-secret"  # noqa: S105 - of a database that lives as long as one test


@contextmanager
def stage_for(page: Path, directory: Path) -> Iterator[Stage]:
    """Give the stage of a page; its servers end with the block."""
    head = front_matter(page.read_text(encoding="utf-8"))
    words = {port: str(free_port()) for port in head.get("ports", "").split()}
    with ExitStack() as servers:
        needs = head.get("needs", "").split()
        if "postgres" in needs:
            words |= _postgres(servers.enter_context(Cluster(debian_bin(), tls=True)), directory)
        if "sshd" in needs:
            peers = directory / ".peers"
            peers.mkdir()
            words |= _sshd(servers.enter_context(Sshd(peers)), directory)
        yield Stage(directory, words, _environment(directory))


def _postgres(cluster: Cluster, directory: Path) -> dict[str, str]:
    cluster.psql(f"CREATE ROLE app LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    cluster.psql("CREATE DATABASE app OWNER app")
    cluster.psql(SAMPLE, database="app")
    shutil.copy(cluster.authority.path, directory / "db-ca.pem")
    return {"127.0.0.1:5432": f"127.0.0.1:{cluster.port}"}


def _sshd(server: Sshd, directory: Path) -> dict[str, str]:
    shutil.copy(server.user_key, directory / "web_key")
    shutil.copy(server.host_key.with_suffix(".pub"), directory / "web_host_key.pub")
    return {
        "127.0.0.1:22": f"127.0.0.1:{server.port}",
        "-p 22": f"-p {server.port}",
        "deploy": getpass.getuser(),
    }


def _environment(directory: Path) -> dict[str, str]:
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
        "PGPASSFILE": "/dev/null",
    }
