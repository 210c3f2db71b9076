"""SSH work with OpenSSH's own client: one large stream, single keystrokes, many short sessions."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.peers.sshd import Sshd

__all__ = ["Login", "Terminal", "bulk", "echo_rounds", "idle", "listing", "setups", "ssh_config", "terminals"]

PIPE: Final = 1 << 20  # a larger pipe lets the client write on while we are not running
CIPHER: Final = "aes128-gcm@openssh.com"
PATIENCE: Final = 60


@dataclass(frozen=True, slots=True)
class Login:
    """How a contender is reached: a name in a client configuration file."""

    config: Path
    host: str

    def command(self, *words: str) -> list[str]:
        """Give the ssh command line that runs `words` there."""
        return ["ssh", "-F", str(self.config), self.host, *words]


def ssh_config(
    directory: Path, target: Sshd, jump: Sshd, gate_port: int, gate_key: Path, gate_user: str
) -> dict[str, Login]:
    """Write a client configuration with every contender; the same cipher and key exchange on all."""
    shared = {
        "Ciphers": CIPHER,
        "KexAlgorithms": "curve25519-sha256",  # the one that all three have
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
        "HostName": "127.0.0.1",
    }
    own: dict[str, dict[str, object]] = {
        "jump": {"Port": jump.port, "User": jump.user, "IdentityFile": jump.user_key},
        "direct": {"Port": target.port, "User": target.user, "IdentityFile": target.user_key},
        "proxyjump": {
            "Port": target.port,
            "User": target.user,
            "IdentityFile": target.user_key,
            "ProxyCommand": f"ssh -F {directory / 'ssh_config'} -W %h:%p jump",
        },
        "gateway": {"Port": gate_port, "User": gate_user, "IdentityFile": gate_key},
    }
    lines: list[str] = []
    for host, settings in own.items():
        lines.append(f"Host {host}\n")
        lines += [f"  {key} {value}\n" for key, value in (shared | settings).items()]
    config = directory / "ssh_config"
    config.write_text("".join(lines))
    config.chmod(0o600)
    return {host: Login(config, host) for host in ("direct", "proxyjump", "gateway")}


def bulk(login: Login, path: Path) -> float:
    """Read a file of the target through `cat`; gives MB/s from the first byte to the last."""
    size = path.stat().st_size
    null = os.open(os.devnull, os.O_WRONLY)
    with subprocess.Popen(
        login.command("cat", str(path)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as ssh:
        assert ssh.stdout is not None
        pipe = ssh.stdout.fileno()
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
        try:
            first = os.read(pipe, 1)
            started = time.perf_counter()
            taken = len(first)
            while moved := os.splice(pipe, null, PIPE):
                taken += moved
            took = time.perf_counter() - started
        finally:
            os.close(null)
    if taken != size:
        raise RuntimeError(f"{login.host}: {taken} of {size} bytes came")
    return size / took / 1e6


def listing(login: Login, size: int) -> None:
    """Have a terminal print coloured listings, as people's terminals do, up to `size` bytes."""
    command = [
        "ssh",
        "-tt",
        *login.command(f"ls -lR --color=always /usr/share /usr/lib | head -c {size}")[1:],
    ]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=PATIENCE)


class Terminal:
    """A pty session whose far end gives every byte back."""

    def __init__(self, login: Login) -> None:
        # -tt: a terminal at the target although our own input is a pipe; raw, so that only `cat` echoes.
        command = ["ssh", "-tt", *login.command("stty raw -echo; echo ready; exec cat")[1:]]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin.fileno(), self.process.stdout.fileno()
        seen = b""
        while b"ready" not in seen:
            data = os.read(self._out, 4096)
            if not data:
                raise RuntimeError(f"{login.host}: the terminal ended before it was ready: {seen!r}")
            seen += data
        while not seen.endswith(b"\n"):
            seen += os.read(self._out, 4096)

    def echo(self) -> float:
        """Type one key; gives the microseconds until it is back."""
        started = time.perf_counter()
        os.write(self._in, b"x")
        os.read(self._out, 64)
        return (time.perf_counter() - started) * 1e6

    def close(self) -> None:
        """Hang up."""
        self.process.terminate()
        self.process.wait(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def terminals(logins: Mapping[str, Login]) -> Iterator[dict[str, Terminal]]:
    """Hold one terminal open at each contender."""
    with ExitStack() as stack:
        opened: dict[str, Terminal] = {}
        for name, login in logins.items():
            opened[name] = Terminal(login)
            stack.callback(opened[name].close)
        yield opened


def echo_rounds(logins: Mapping[str, Login], keys: int) -> dict[str, list[float]]:
    """Type `keys` keys at each contender, in turn, all sessions open; gives microseconds."""
    with terminals(logins) as opened:
        for _ in range(50):
            for terminal in opened.values():
                terminal.echo()
        samples: dict[str, list[float]] = {name: [] for name in opened}
        for _ in range(keys):
            for name, terminal in opened.items():
                samples[name].append(terminal.echo())
        return samples


def setups(login: Login, sessions: int, parallel: int = 8) -> float:
    """Run `true` in `sessions` sessions, `parallel` at a time; gives sessions a second."""

    def one(_: int) -> None:
        subprocess.run(
            login.command("true"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=PATIENCE,
        )

    with ThreadPoolExecutor(parallel) as pool:
        started = time.perf_counter()
        for _ in pool.map(one, range(sessions)):
            pass  # an ssh that failed raises here
        return sessions / (time.perf_counter() - started)


@contextmanager
def idle(login: Login, count: int) -> Iterator[None]:
    """Hold `count` terminals open that do nothing."""
    with terminals({str(n): login for n in range(count)}):
        yield
