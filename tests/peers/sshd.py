"""A real OpenSSH server on a free port, with keys of its own, for as long as a `with` block lasts."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

__all__ = ["Sshd", "free_port", "keygen"]

PATIENCE = 20.0  # seconds for sshd to accept


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keygen(path: Path, kind: str = "ed25519") -> Path:
    """Make a key pair at `path`; gives the private key's path."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", path.name, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


class Sshd:
    """Debian's sshd. The account is that of whoever runs the tests; its key is `user_key`.

    `settings` are further lines of sshd_config. The server's log is `directory/sshd.log`.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.port = 0
        self.host_key = keygen(directory / "sshd_host_key")
        self.user_key = keygen(directory / "sshd_user_key")
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    def with_settings(self, **settings: str) -> Sshd:
        """Add lines of sshd_config, before it starts."""
        self._settings.update(settings)
        return self

    @property
    def host_key_line(self) -> str:
        """The line for `host_key:`."""
        return " ".join(self.host_key.with_suffix(".pub").read_text().split()[:2])

    def target(self, name: str, **more: object) -> dict[str, object]:
        """What a gateway's configuration says of it: open to the group `ops`, by the sealed secret of that name."""
        return {
            "name": name,
            "protocol": "ssh",
            "address": f"127.0.0.1:{self.port}",
            "options": {"host_key": self.host_key_line},
            "credential": f"local:{name}",
            "allow": ["group:ops"],
            **more,
        }

    def __enter__(self) -> Sshd:
        authorized = self.directory / "authorized_keys"
        shutil.copy(self.user_key.with_suffix(".pub"), authorized)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # sshd's privilege separation wants it
        for _ in range(5):  # another process may take the port between its choice and the bind
            self.port = free_port()
            self._start(authorized)
            if self._accepts():
                return self
            self._stop()
        raise AssertionError(f"sshd did not start:\n{self.log()}")

    def _start(self, authorized: Path) -> None:
        settings = {
            "ListenAddress": f"127.0.0.1:{self.port}",
            "HostKey": str(self.host_key),
            "AuthorizedKeysFile": str(authorized),
            "PidFile": str(self.directory / "sshd.pid"),
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "yes",
            "StrictModes": "no",
            "UsePAM": "no",
            "UseDNS": "no",
            "MaxStartups": "100",
            "MaxSessions": "100",
            "AcceptEnv": "LANG LC_* RECGATE_*",
            "GatewayPorts": "no",
            "Subsystem": "sftp internal-sftp",
            **self._settings,
        }
        config = self.directory / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        binary = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "/usr/sbin/sshd"
        command = [binary, "-D", "-e", "-f", str(config)]
        with (self.directory / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _accepts(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    if probe.recv(4) == b"SSH-":
                        return True
            except OSError:
                self._process.poll()
                try:
                    self._process.wait(0.02)
                except subprocess.TimeoutExpired:
                    continue
        return False

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def log(self) -> str:
        """What the server has said."""
        path = self.directory / "sshd.log"
        return path.read_text(errors="replace") if path.exists() else ""
