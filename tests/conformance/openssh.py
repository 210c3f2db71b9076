"""OpenSSH's regress scripts, their client sent to one SSH server, directly or through a gateway.

The scripts start servers of their own and speak to those. Here the client that they are given puts address,
user and key of our server in front of whatever a script asks for: what a script checks (exit statuses, streams,
multiplexing) is then what came through.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.origin import openssh_scripts
from tests.peers.sshd import free_port

__all__ = ["QUICK", "SCRIPTS", "Reach", "run"]

QUICK = ("connect", "yes-head")
SCRIPTS = (
    *QUICK,
    "exit-status",
    "stderr-data",
    "stderr-after-eof",
    "transfer",
    "broken-pipe",
    "envpass",
    "multiplex",
    "connect-uri",
    "brokenkeys",
)
PATIENCE = 240  # seconds for one script

_CLIENT = """\
#!/bin/sh
exec /usr/bin/ssh -o ProxyCommand=none -o Hostname=127.0.0.1 -o Port={port} -o User={user} -o IdentityFile={key} \\
    -o HostKeyAlias=conformance -o StrictHostKeyChecking=no -o UserKnownHostsFile={known} \\
    -o GlobalKnownHostsFile={known} -o IdentityAgent=none "$@"
"""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a server, or a target behind a gateway, is reached."""

    port: int
    user: str
    key: Path


def run(reach: Reach, directory: Path, scripts: Sequence[str] = SCRIPTS) -> dict[str, str]:
    """Run scripts in a copy of the suite; gives `passed` or what was found wrong, by script. Raises `SuiteMissing`."""
    place = directory / "regress"
    shutil.copytree(openssh_scripts(), place, symlinks=True)
    client = directory / "client"
    client.write_text(
        _CLIENT.format(port=reach.port, user=reach.user, key=reach.key, known=directory / "known")
    )
    client.chmod(0o755)
    environment = {
        **os.environ,
        "TEST_SSH_SSH": str(client),
        "TEST_SSH_SSHD": "/usr/sbin/sshd",
        "TEST_SSH_SFTPSERVER": "/usr/lib/openssh/sftp-server",
        "TEST_SSH_UNSAFE_PERMISSIONS": "1",
        "TEST_SHELL": "/bin/sh",
        "TEST_ENV": "MALLOC_OPTIONS=",
        "SUDO": "",
    }
    for name in ("scp", "sftp", "ssh-keygen", "ssh-keyscan", "ssh-agent", "ssh-add"):
        found = shutil.which(name)
        if found:
            environment["TEST_SSH_" + name.replace("-", "").upper()] = found
    return {script: _outcome(place, script, environment) for script in scripts}


def _outcome(place: Path, script: str, environment: dict[str, str]) -> str:
    environment = {**environment, "TEST_SSH_PORT": str(free_port())}
    log = place.parent / f"{script}.log"
    with log.open("wb") as sink:
        try:
            done = subprocess.run(
                ["/bin/sh", "test-exec.sh", str(place), str(place / f"{script}.sh")],
                cwd=place,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "hung"
    return "passed" if done.returncode == 0 else f"failed: {', '.join(_complaints(log))}"


def _complaints(log: Path) -> list[str]:
    """Give what a script found wrong, in order: it says each on a line, between lines on what it tries."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if line and not line.startswith(("test ", "failed ", "ok ", "run test "))]
