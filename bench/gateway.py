"""The gateway under test: `recgate serve` as an operator would run it, in front of the benchmark's servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import yaml

from bench.postgres import Address

__all__ = ["Gateway", "SshTarget", "gateway"]

USER: Final = "bencher"
DB_TARGET: Final = "bench-db"
SSH_TARGET: Final = "bench-host"
STOP: Final = 60.0  # seconds to seal and stop
QUIET: Final = 30.0  # seconds between measurements


@dataclass(frozen=True, slots=True)
class SshTarget:
    """An SSH server and the key that opens it."""

    port: int
    user: str
    key: Path
    host_key: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    pid: int
    data_dir: Path
    config: Path
    database: Address
    ssh_port: int

    def command(self, *words: str, text: str | None = None, check: bool = True) -> str:
        """Run a `recgate` command against this gateway's configuration; gives its output."""
        done = subprocess.run(
            _recgate(*words),
            check=False,
            env=_environment(self.config),
            input=text,
            capture_output=True,
            text=True,
        )
        if check and done.returncode:
            raise RuntimeError(f"recgate {' '.join(words)} failed:\n{done.stderr}")
        return done.stdout

    def sessions(self, *filters: str) -> list[dict[str, object]]:
        """List sessions, newest first, as `recgate sessions --json` gives them."""
        found = [json.loads(line) for line in self.command("sessions", "--json", *filters).splitlines()]
        return sorted(found, key=lambda each: str(each["started"]), reverse=True)

    def backlog(self) -> int:
        """Bytes of journals that are not sealed yet."""
        return sum(path.stat().st_size for path in _files(self.data_dir / "journal"))

    def stored(self, session: str) -> int:
        """Bytes that a session's recording takes in the store."""
        return sum(
            path.stat().st_size for path in _files(self.data_dir / "recordings") if session in str(path)
        )

    def settle(self, patience: float) -> float:
        """Wait until everything is sealed; gives the seconds it took, or raises after `patience`."""
        started = time.monotonic()
        while any(each["status"] in ("live", "unsealed") for each in self.sessions()):
            if time.monotonic() - started > patience:
                raise TimeoutError(f"not everything was sealed within {patience:.0f} s")
            time.sleep(0.5)
        return time.monotonic() - started

    def settle_quietly(self) -> None:
        """Let what was recorded be sealed before the next measurement, as far as that is quick."""
        try:
            self.settle(QUIET)
        except TimeoutError as late:
            print(
                f"going on although {late}: the sealing process competes with what follows", file=sys.stderr
            )


def _files(top: Path) -> list[Path]:
    return [Path(base) / name for base, _, names in os.walk(top) for name in names]


def _recgate(*words: str) -> list[str]:
    return [str(Path(sys.executable).with_name("recgate")), *words]


def _environment(config: Path) -> dict[str, str]:
    return {**os.environ, "RECGATE_CONFIG": str(config)}


@contextmanager
def gateway(
    directory: Path,
    server: Address | None,
    ssh: SshTarget | None,
    client_key: Path | None = None,
    *,
    durability: str = "written",
    recording: Mapping[str, object] | None = None,
    database_target: str = DB_TARGET,
    python: Sequence[str] = (),
    masks: Sequence[Mapping[str, object]] = (),
    policies: Sequence[Mapping[str, object]] = (),
) -> Iterator[Gateway]:
    """Run a gateway in `directory` in front of the given servers, with one user who may use both.

    `database_target` is the login name of PostgreSQL clients; `python` is put before the command, for profilers.
    Everything is sealed when the block ends.
    """
    config = directory / "recgate.yaml"
    about = {"durability": durability, "index": "text", "store": {"file": {}}, **(recording or {})}
    settings = _configuration(directory, server, ssh, about, database_target)
    looking = {"masks": [dict(mask) for mask in masks], "policies": [dict(rule) for rule in policies]}
    config.write_text(yaml.safe_dump({**settings, **looking}))
    prepared = Gateway(0, directory / "data", config, Address(0), 0)
    if server is not None:
        prepared.command(
            "secret", "set", "db", "--username", server.user, "--password-stdin", text=server.password
        )
    if ssh is not None:
        prepared.command("secret", "set", "host", "--username", ssh.user, "--key-file", str(ssh.key))
    prepared.command("user", "add", USER)
    token = prepared.command("token", "issue", "--user", USER).strip()
    if client_key is not None:
        prepared.command("key", "add", "--user", USER, str(client_key))
    command = [*python, *_recgate("serve", "--config", str(config), "--json")]
    with (directory / "gateway.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=directory, text=True)
    try:
        ports = _ports(process, directory / "gateway.log")
        database = Address(
            ports.get("postgres", 0), database_target, token, server.database if server else ""
        )
        yield replace(prepared, pid=process.pid, database=database, ssh_port=ports.get("ssh", 0))
    finally:
        process.terminate()
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _configuration(
    directory: Path,
    server: Address | None,
    ssh: SshTarget | None,
    recording: Mapping[str, object],
    database_target: str,
) -> dict[str, object]:
    listeners: list[dict[str, object]] = []
    targets: list[dict[str, object]] = []
    if server is not None:
        listeners.append({"protocol": "postgres", "bind": "127.0.0.1:0", "max_connections": 4000})
        targets.append(
            {
                "name": database_target,
                "protocol": "postgres",
                "address": f"127.0.0.1:{server.port}",
                "options": {"database": server.database, "databases": "*", "tls": "disable"},
                "credential": "local:db",
                "allow": [f"user:{USER}"],
            }
        )
    if ssh is not None:
        listeners.append({"protocol": "ssh", "bind": "127.0.0.1:0", "max_connections": 1000})
        targets.append(
            {
                "name": SSH_TARGET,
                "protocol": "ssh",
                "address": f"127.0.0.1:{ssh.port}",
                "options": {"host_key": ssh.host_key},
                "credential": "local:host",
                "allow": [f"user:{USER}"],
            }
        )
    return {
        "gateway": {"name": "bench", "data_dir": str(directory / "data")},
        "listeners": listeners,
        "identity": [{"local": {}}],
        "vaults": [{"sealed": {"name": "local"}}],
        "targets": targets,
        "recording": dict(recording),
    }


def _ports(process: subprocess.Popen[str], log: Path) -> dict[str, int]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        process.wait()
        raise RuntimeError(f"the gateway did not start:\n{log.read_text(errors='replace')[-3000:]}")
    return {each["protocol"]: each["port"] for each in json.loads(line)["listeners"]}
