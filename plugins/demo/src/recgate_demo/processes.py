"""Start what the demo is made of, and stop exactly that: by pid, in order, within a time limit."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from recgate_demo.accounts import Account
from recgate_demo.errors import DemoError

__all__ = ["LOOPBACK", "Running", "command_output", "free_port", "wait_until"]

LOOPBACK: Final = "127.0.0.1"
STOP: Final = 45.0  # seconds to stop by itself; the gateway seals sessions within 30
LOOK_AGAIN: Final = 0.05  # seconds between two looks at something that is coming up
LOG_TAIL: Final = 2_000  # characters of a log that an error shows


class Running:
    """A process in a session of its own, so that Ctrl-C reaches the demo alone and the demo stops it in order.

    `stop_signal` asks it to stop; after `STOP` seconds it is killed. Standard output goes to the log too unless
    `pipe`. Standard input is a pipe whose end tells a child of ours that the demo is gone.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        account: Account | None = None,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        pipe: bool = False,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        changed = account is not None and account.change
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*_dies_with_us(stop_signal), *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if pipe else stream,
                stderr=stream,
                env=dict(env) if env is not None else None,
                start_new_session=True,
                user=account.uid if changed and account else None,
                group=account.gid if changed and account else None,
                extra_groups=[] if changed else None,
                cwd="/",
            )

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Stop it, and wait for that. Idempotent."""
        if self.alive:
            self.process.send_signal(self._stop_signal)
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def first_line(self, patience: float) -> str:
        """Give the first line of its standard output. Raises `DemoError` when it ends or says nothing in time."""
        assert self.process.stdout is not None, "started without pipe"
        descriptor = self.process.stdout.fileno()
        os.set_blocking(descriptor, False)
        said = b""

        def look() -> bool:
            nonlocal said
            try:
                said += os.read(descriptor, 65_536)
            except BlockingIOError:
                return False
            return b"\n" in said

        self.wait_until(look, patience, "said that it is ready")
        return said.partition(b"\n")[0].decode()

    def wait_until(self, done: Callable[[], bool], patience: float, what: str) -> None:
        """Wait until `done`. Raises `DemoError` with the end of the log if the process ends or it takes too long."""
        if not wait_until(lambda: done() or not self.alive, patience) or not self.alive:
            how = (
                f"has not {what} within {patience:.0f} s"
                if self.alive
                else f"ended with {self.process.returncode}"
            )
            raise DemoError(f"{self.name} {how}. The end of {self.log}:\n{self.tail()}")

    def tail(self) -> str:
        """Give the end of its log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:]


def _dies_with_us(how: signal.Signals) -> list[str]:
    # If the demo itself is killed, nobody is left to stop its children; util-linux can ask the kernel to.
    setpriv = shutil.which("setpriv", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    return [setpriv, "--pdeathsig", how.name.removeprefix("SIG"), "--"] if setpriv else []


def wait_until(done: Callable[[], bool], patience: float) -> bool:
    """Look until `done` or until `patience` seconds are over; say whether it was."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_AGAIN)
    return True


def free_port(preferred: int = 0) -> int:
    """Give `preferred` if nobody listens there, else a port that is free now."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError(f"no port is free on {LOOPBACK}.")


def command_output(
    command: Sequence[str | Path],
    *,
    stdin: str = "",
    patience: float,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command of the set-up and give its output. Raises `DemoError` with what it said if it fails."""
    changed = account is not None and account.change
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=patience,
            check=False,
            env=dict(env) if env is not None else None,
            user=account.uid if changed and account else None,
            group=account.gid if changed and account else None,
            extra_groups=[] if changed else None,
            cwd="/",
        )
    except subprocess.TimeoutExpired as exc:
        raise DemoError(f"`{' '.join(words[:4])} …` takes longer than {patience:.0f} s.") from exc
    if done.returncode != 0:
        raise DemoError(
            f"`{' '.join(words[:4])} …` ended with {done.returncode}:\n{(done.stdout + done.stderr)[-LOG_TAIL:]}"
        )
    return done.stdout
