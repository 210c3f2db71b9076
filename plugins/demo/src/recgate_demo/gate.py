"""The gateway of the demo: a configuration that one could have written oneself, and `recgate serve` run on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from recgate_demo.errors import DemoError
from recgate_demo.guards import MASKS, POLICIES
from recgate_demo.postgresql import Database
from recgate_demo.processes import LOOPBACK, Running, command_output, free_port
from recgate_demo.sshtarget import Machine

__all__ = ["APPROVER", "CONFIGURATION", "PEOPLE", "Gate", "Recgate", "gateway"]

CONFIGURATION: Final = "recgate.yaml"
HEADER: Final = "# Written by `recgate demo`, and written anew each time it starts.\n"
START: Final = 60.0  # seconds
COMMAND: Final = 60.0  # seconds for one `recgate` command
PORT_TRIES: Final = 3
ADDRESS_TAKEN: Final = "Is another program on that address?"  # what `recgate serve` says then
SSH_PORT: Final = 2222
POSTGRES_PORT: Final = 15432

# Who there is, and in which groups. Everybody in `dba` may go everywhere, `support` only to the database.
PEOPLE: Final = {"alice": ("dba",), "bob": ("support",)}
# Who decides about requests that a rule holds, and needs to go nowhere for that.
APPROVER: Final = "carol"
APPROVERS: Final = "dba-leads"


@dataclass(frozen=True, slots=True)
class Recgate:
    """The `recgate` command on one configuration."""

    config: Path

    def command(
        self, *words: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run it as somebody at a prompt would, and give what came of it. Raises `DemoError` if it hangs.

        `environment` is added to that of the demo.
        """
        try:
            return subprocess.run(
                [*self._words(), *words],
                capture_output=True,
                text=True,
                timeout=COMMAND,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
            )
        except subprocess.TimeoutExpired as exc:
            raise DemoError(f"`recgate {' '.join(words)}` takes longer than {COMMAND:.0f} s.") from exc

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a listing with `--json`. Status 1 means that nothing was found. Raises `DemoError` for any other."""
        done = self.command(*words, "--json")
        if done.returncode not in (0, 1):
            raise DemoError(
                f"`recgate {' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()}"
            )
        return [json.loads(line) for line in done.stdout.splitlines()]

    def do(self, *words: str, stdin: str = "") -> str:
        """Run a command of the set-up and give its output. Raises `DemoError` if it fails."""
        return command_output([*self._words(), *words], stdin=stdin, patience=COMMAND).strip()

    def serve(self) -> list[str]:
        """Give the words that run the gateway."""
        return [sys.executable, "-m", "recgate", "serve", "--config", str(self.config), "--json"]

    def _words(self) -> list[str]:
        return [sys.executable, "-m", "recgate", "--config", str(self.config)]


@dataclass(frozen=True, slots=True)
class Gate:
    """The running gateway. `directory` holds its configuration, `directory/data` all that it keeps."""

    directory: Path
    recgate: Recgate
    ports: Mapping[str, int]
    running: Running

    @property
    def data(self) -> Path:
        """The gateway's `data_dir`."""
        return self.directory / "data"


@contextmanager
def gateway(directory: Path, database: Database, machine: Machine) -> Generator[Gate]:
    """Run a gateway in front of both targets for as long as the block lasts.

    What `directory/data` has from an earlier demo stays: recordings, keys, people.

    Raises:
        DemoError: it does not come up.
    """
    recgate = Recgate(directory / CONFIGURATION)
    _configure(recgate, database, machine, preferred=True)
    recgate.do(
        "secret", "set", "shop", "--username", database.username, "--password-stdin", stdin=database.password
    )
    _lend_key(recgate, directory, machine)
    for name, groups in {**PEOPLE, APPROVER: (APPROVERS,)}.items():
        recgate.do("user", "add", name, *(word for group in groups for word in ("--group", group)))
    with _serving(recgate, directory, database, machine) as (running, line):
        ready = json.loads(line)
        ports = {str(each["protocol"]): int(each["port"]) for each in ready["listeners"]}
        yield Gate(directory, recgate, ports, running)


@contextmanager
def _serving(
    recgate: Recgate, directory: Path, database: Database, machine: Machine
) -> Generator[tuple[Running, str]]:
    log = directory / "gateway.log"
    for attempt in range(PORT_TRIES):
        # Ports are chosen at the last moment; somebody may still be faster, and then others are taken.
        _configure(recgate, database, machine, preferred=attempt == 0)
        with Running("the gateway", recgate.serve(), log, pipe=True) as running:
            try:
                line = running.first_line(START)
            except DemoError:
                if attempt + 1 < PORT_TRIES and ADDRESS_TAKEN in running.tail():
                    continue
                raise
            yield running, line
            return


def _lend_key(recgate: Recgate, directory: Path, machine: Machine) -> None:
    file = directory / "prod-web.key"
    machine.key.write(file)
    try:
        recgate.do("secret", "set", "prod-web", "--username", machine.username, "--key-file", str(file))
    finally:
        # From here on the vault alone has it.
        file.unlink()
        file.with_name(file.name + ".pub").unlink()


def _configure(recgate: Recgate, database: Database, machine: Machine, *, preferred: bool) -> None:
    ports = [free_port(port if preferred else 0) for port in (SSH_PORT, POSTGRES_PORT)]
    recgate.config.write_text(HEADER + _configuration(database, machine, ports), encoding="utf-8")


def _configuration(database: Database, machine: Machine, ports: Sequence[int]) -> str:
    listeners = [
        {"protocol": "ssh", "bind": f"{LOOPBACK}:{ports[0]}"},
        {"protocol": "postgres", "bind": f"{LOOPBACK}:{ports[1]}", "tls": "require"},
    ]
    targets = [
        {
            "name": "prod-db",
            "protocol": "postgres",
            "address": f"{database.host}:{database.port}",
            # The wheel's PostgreSQL is built without TLS, and the wire to it is this machine's loopback.
            "options": {"database": database.name, "databases": "*", "tls": "disable"},
            "credential": "local:shop",
            "labels": {"env": "prod", "data": "pii"},
            "allow": ["group:dba", "group:support"],
        },
        {
            "name": "prod-web",
            "protocol": "ssh",
            "address": f"{machine.host}:{machine.port}",
            "options": {"host_key": machine.host_key},
            "credential": "local:prod-web",
            "labels": {"env": "prod"},
            "allow": ["group:dba"],
        },
    ]
    whole: dict[str, object] = {
        "gateway": {"name": "demo-gate", "data_dir": "data"},
        "listeners": listeners,
        "identity": [{"local": {}}],
        "vaults": [{"sealed": {"name": "local"}}],
        "targets": targets,
        "policies": [dict(rule) for rule in POLICIES],
        "masks": [dict(mask) for mask in MASKS],
    }
    return yaml.safe_dump(whole, sort_keys=False, width=120)
