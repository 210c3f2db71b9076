"""A real SSH target: `recgate_demo.sshserver` in a process of its own, with a home directory to look around in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate_demo.accounts import Account
from recgate_demo.processes import LOOPBACK, Running

__all__ = ["KeyPair", "Machine", "ssh_target"]

START: Final = 30.0  # seconds

_PROFILE: Final = """\
# Read by login shells. The prompt says where one is.
PS1='\\u@prod-web:\\w\\$ '
alias ll='ls -l'
cat "$HOME/.motd"
"""
_MOTD: Final = """\
prod-web: a real shell in a real terminal. Whatever is typed and shown here is being recorded by recgate.
"""
_ACCESS_LOG: Final = "".join(
    f"10.0.3.{n * 7 % 250} - - [12/Mar/2026:09:{n:02}:00] "
    f'"GET /orders/{n * 13 % 200} HTTP/1.1" {status} {n * 311 % 9000}\n'
    for n, status in enumerate([200, 200, 404, 200, 500, 200, 302, 200, 200, 503] * 4)
)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key: `private` as an OpenSSH file has it, `public` as a line of a `.pub` file without comment."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> KeyPair:
        """Make a new one."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        return cls(private.decode(), public.decode())

    def write(self, path: Path) -> None:
        """Write `path` (0600) and `path.pub`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self.private)
        path.with_name(path.name + ".pub").write_text(f"{self.public} {path.name}\n")


@dataclass(frozen=True, slots=True)
class Machine:
    """A running SSH target: its address, its host key, and what only the vault should know of it."""

    host: str
    port: int
    username: str
    host_key: str
    key: KeyPair
    home: Path


@contextmanager
def ssh_target(directory: Path, account: Account) -> Generator[Machine]:
    """Run a server for as long as the block lasts.

    Args:
        directory: an empty directory that `account` may pass through; home directory and log go into it.
        account: whose shell it is.

    Raises:
        DemoError: the server does not come up.
    """
    home = directory / "home"
    _furnish(home, account)
    host_key, key = KeyPair.generate(), KeyPair.generate()
    settings = {
        "username": account.name,
        "home": str(home),
        "host_key": host_key.private,
        "authorized_key": key.public,
    }
    if account.change:
        settings |= {"uid": str(account.uid), "gid": str(account.gid)}
    command = [sys.executable, "-m", "recgate_demo.sshserver"]
    # It starts as whoever runs the demo and becomes the account by itself: only so can it read a checkout in /root.
    with Running("the SSH target", command, directory / "ssh-target.log", pipe=True) as server:
        assert server.process.stdin is not None
        server.process.stdin.write(json.dumps(settings).encode() + b"\n")
        server.process.stdin.flush()
        port = int(server.first_line(START))
        yield Machine(LOOPBACK, port, account.name, host_key.public, key, home)


def _furnish(home: Path, account: Account) -> None:
    home.mkdir(mode=0o700)
    (home / "logs").mkdir()
    contents = {
        ".bash_profile": _PROFILE,
        ".motd": _MOTD,
        "logs/access.log": _ACCESS_LOG,
        "deploy.sh": "#!/bin/bash\n# Puts the shop on the air.\necho 'deploying…'; sleep 1; echo 'done'\n",
    }
    for name, text in contents.items():
        (home / name).write_text(text, encoding="utf-8")
    (home / "deploy.sh").chmod(0o755)
    for path in [home, *home.rglob("*")]:
        account.own(path)
