"""What a person needs to go through the gateway: a token, a certificate, and the very lines to type."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recgate_demo.gate import Gate
from recgate_demo.processes import LOOPBACK
from recgate_demo.sshtarget import KeyPair

__all__ = ["Person", "outfit"]

TTL: Final = "12h"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with what to log in by. The files are in the demo's directory, readable by its owner alone."""

    name: str
    key: Path
    passfile: Path
    known_hosts: Path
    ca: Path
    ssh_port: int
    postgres_port: int

    def ssh(self, *words: str, options: Sequence[str] = ()) -> list[str]:
        """Give an `ssh` command to prod-web; `options` come first, `words` are the remote command."""
        return ["ssh", *options, "-p", str(self.ssh_port), *self._proofs(), f"prod-web@{LOOPBACK}", *words]

    def scp(self, source: str, destination: str, options: Sequence[str] = ()) -> list[str]:
        """Give an `scp` command; a name that begins with a colon is prod-web's."""
        places = [
            f"prod-web@{LOOPBACK}{name}" if name.startswith(":") else name for name in (source, destination)
        ]
        return ["scp", *options, "-P", str(self.ssh_port), *self._proofs(), *places]

    def psql(self, *words: str) -> list[str]:
        """Give a `psql` command to prod-db."""
        place = {
            "host": LOOPBACK,
            "port": str(self.postgres_port),
            "user": "prod-db",
            "dbname": "shop",
            "sslmode": "verify-full",
            "sslrootcert": str(self.ca),
            "passfile": str(self.passfile),
        }
        return ["psql", " ".join(f"{key}={_conninfo_value(value)}" for key, value in place.items()), *words]

    def _proofs(self) -> list[str]:
        # The certificate lies beside the key, where ssh looks for it.
        return [
            "-i",
            str(self.key),
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            f"UserKnownHostsFile={_quoted(self.known_hosts)}",
        ]

    def line(self, command: Sequence[str]) -> str:
        """Give a command as one types it."""
        return " ".join(_shown(word) for word in command)


def outfit(gate: Gate, name: str) -> Person:
    """Give somebody a fresh token and certificate. Raises `DemoError`."""
    own = gate.directory / "people"
    own.mkdir(mode=0o700, exist_ok=True)
    ssh_port, postgres_port = gate.ports["ssh"], gate.ports["postgres"]
    key = own / name
    KeyPair.generate().write(key)
    gate.recgate.do("key", "sign", "--user", name, "--ttl", TTL, f"{key}.pub")
    token = gate.recgate.do("token", "issue", "--user", name, "--ttl", TTL, "--label", "recgate demo")
    passfile = own / f"{name}.pgpass"
    _write_private(passfile, f"{LOOPBACK}:{postgres_port}:*:prod-db:{token}\n")
    known_hosts = own / "known_hosts"
    host_key = (gate.data / "ssh_host_ed25519.pub").read_text()
    known_hosts.write_text(f"[{LOOPBACK}]:{ssh_port} {host_key}")
    return Person(name, key, passfile, known_hosts, gate.data / "ca.pem", ssh_port, postgres_port)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)


def _conninfo_value(value: str) -> str:
    """Quote a value of a connection string (PostgreSQL, "Keyword/Value Connection Strings")."""
    if value and not any(letter.isspace() or letter in "'\\" for letter in value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _quoted(path: Path) -> str:
    """Quote a file name for an OpenSSH option, which takes several."""
    return f'"{path}"' if any(letter.isspace() for letter in str(path)) else str(path)


def _shown(word: str) -> str:
    # People write connection strings in double quotes; both mean the same to a shell when nothing in it is special.
    if " " in word and not set(word) & set("\"$`\\!'"):
        return f'"{word}"'
    return shlex.quote(word)
