"""A PostgreSQL server and a pgbouncer in front of it, each on a free loopback port, for as long as a block lasts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.process import unprivileged

__all__ = ["ACCOUNT", "PASSWORD", "Address", "postgres", "pgbouncer", "run_psql", "tool"]

ACCOUNT: Final = "bench"
PASSWORD: Final = "bench-password"
DATABASE: Final = "bench"
PATIENCE: Final = 60.0  # seconds for a server to accept

INITDB: Final = ("-E", "UTF8", "--locale=C", "--no-sync")
SETTINGS: Final = {
    "max_connections": "1200",
    "shared_buffers": "256MB",
    "fsync": "off",  # the target's disk is not what is measured
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_wal_size": "4GB",
    "listen_addresses": "127.0.0.1",
    "password_encryption": "scram-sha-256",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a contender listens, and what a client says there."""

    port: int
    user: str = ACCOUNT
    password: str = PASSWORD
    database: str = DATABASE
    pid: int = 0
    sslmode: str = "disable"

    def environment(self) -> dict[str, str]:
        """Give the environment of a libpq client."""
        return {
            **os.environ,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGSSLMODE": self.sslmode,
            "PGGSSENCMODE": "disable",
            "PGCONNECT_TIMEOUT": "20",
        }

    def dsn(self) -> str:
        """Give the connection string of a libpq client in this process."""
        return (
            f"host=127.0.0.1 port={self.port} user={self.user} password={self.password} "
            f"dbname={self.database} sslmode={self.sslmode} gssencmode=disable"
        )


def tool(name: str) -> str:
    """Find a PostgreSQL program, the newest where Debian has several."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed; see tests/debian.txt")
    return path


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once `port` accepts; raises with the log when the process ended or never did."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    process.terminate()
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-2000:]}")


def await_ready(address: Address) -> None:
    """Return once PostgreSQL takes logins: it accepts connections while it still starts."""
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(["pg_isready", "-q"], check=False, env=address.environment()).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL does not take logins")
        time.sleep(0.05)


@contextmanager
def running(
    command: Sequence[str], port: int, log: Path, **account: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends."""
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            user=account.get("user"),
            group=account.get("group"),
        )
    try:
        await_port(port, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def postgres(directory: Path) -> Iterator[Address]:
    """Run a PostgreSQL server in `directory`, with the account and database of the benchmark."""
    account = unprivileged()
    data, port = directory / "pg", free_port()
    give(directory)
    word = directory / "pg.pw"
    word.write_text(PASSWORD)
    give(word)
    subprocess.run(
        [tool("initdb"), "-D", str(data), "-U", ACCOUNT, "-A", "scram-sha-256", *INITDB, f"--pwfile={word}"],
        check=True,
        stdout=subprocess.DEVNULL,
        user=account.get("user"),
        group=account.get("group"),
        cwd=directory,
    )
    with (data / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{key} = '{value}'\n" for key, value in SETTINGS.items())
        conf.write(f"port = {port}\nunix_socket_directories = '{directory}'\n")
    log = directory / "pg.log"
    with running([tool("postgres"), "-D", str(data)], port, log, **account) as process:
        address = Address(port, pid=process.pid)
        await_ready(address)
        run_psql(Address(port, database="postgres"), f"create database {DATABASE}")
        yield address


@contextmanager
def pgbouncer(directory: Path, server: Address, certificate: tuple[Path, Path]) -> Iterator[Address]:
    """Run a pgbouncer (session pooling, TLS to the client when it asks) in front of `server`."""
    port = free_port()
    users, ini = directory / "users.txt", directory / "pgbouncer.ini"
    users.write_text(f'"{ACCOUNT}" "{PASSWORD}"\n')
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "auth_type": "plain",
        "auth_file": users,
        "pool_mode": "session",
        "max_client_conn": 2000,
        "default_pool_size": 1100,
        "max_prepared_statements": None,
        "unix_socket_dir": "",
        "log_connections": 0,
        "log_disconnections": 0,
        "ignore_startup_parameters": "extra_float_digits,options",
        "client_tls_sslmode": "allow",
        "client_tls_cert_file": certificate[0],
        "client_tls_key_file": certificate[1],
    }
    lines = [f"{key} = {value}\n" for key, value in settings.items() if value is not None]
    database = f"{DATABASE} = host=127.0.0.1 port={server.port} dbname={DATABASE}\n"
    ini.write_text(f"[databases]\n{database}[pgbouncer]\n{''.join(lines)}")
    for path in (users, ini, *certificate):
        give(path)
    log = directory / "pgbouncer.log"
    with running([tool("pgbouncer"), str(ini)], port, log, **unprivileged()) as process:
        yield Address(port, pid=process.pid)


def give(path: Path) -> None:
    """Let the unprivileged account use a path."""
    account = unprivileged()
    if account:
        shutil.chown(path, account["user"], account["group"])


def run_psql(address: Address, *statements: str) -> None:
    """Run statements with psql; raises when one fails."""
    command = [tool("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    for statement in statements:
        command += ["-c", statement]
    subprocess.run(command, check=True, env=address.environment(), stdout=subprocess.DEVNULL)
