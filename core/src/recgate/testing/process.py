"""A real `recgate serve` in a process of its own, for tests and for a plugin's own suite.

with GatewayProcess(tmp_path, {"listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}], …}) as gate:
    gate.port("postgres"); gate.run("user", "add", "alice"); token = gate.token("alice")
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar, cast

import yaml

__all__ = ["GatewayProcess"]

STOP: Final = 60.0  # seconds to stop by itself before the test fails
COMMAND: Final = 60.0  # seconds for a command
PATIENCE: Final = 60.0  # seconds for what happens in the gateway's own time


Seen = TypeVar("Seen")


class GatewayProcess:
    """Starts on enter, stops by SIGTERM on exit. Its log is `directory/gateway.log`."""

    def __init__(self, directory: Path, config: Mapping[str, object]) -> None:
        self.directory = directory
        self.config_file = directory / "recgate.yaml"
        self.data_dir = directory / "data"
        self.configure(config)
        self.ready: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None

    def configure(self, config: Mapping[str, object]) -> None:
        """Write the configuration; gateway name and data directory are filled in."""
        given = cast("Mapping[str, object]", config.get("gateway") or {})
        gateway = {"name": "gate-test", "data_dir": str(self.data_dir), **given}
        self.config_file.write_text(yaml.safe_dump({**config, "gateway": gateway}))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait for `ready`. Raises `AssertionError` with the log if it does not come up."""
        with (self.directory / "gateway.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "recgate", "serve", "--config", str(self.config_file), "--json"],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("{"):
            self.stop()
            raise AssertionError(f"the gateway did not start:\n{self.log()}")
        self.ready = json.loads(line)

    @property
    def pid(self) -> int:
        """The gateway's process id."""
        assert self._process is not None
        return self._process.pid

    def port(self, protocol: str) -> int:
        """The port that the first listener of a protocol is bound to."""
        return next(each["port"] for each in self.ready["listeners"] if each["protocol"] == protocol)

    def log(self) -> str:
        """Everything the gateway has said on standard error."""
        return (self.directory / "gateway.log").read_text()

    def run(self, *words: str, stdin: str = "", check: bool = True) -> str:
        """Run a `recgate` command on this gateway's configuration and give its output."""
        done = self.command(*words, stdin=stdin)
        if check and done.returncode != 0:
            raise AssertionError(
                f"recgate {' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def command(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a `recgate` command and give what came of it."""
        return subprocess.run(
            [sys.executable, "-m", "recgate", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND,
            check=False,
            env={**os.environ, "RECGATE_CONFIG": str(self.config_file)},
        )

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Run a listing with `--json` and give its objects; an empty answer is an empty list."""
        return [json.loads(line) for line in self.run(*words, "--json", check=False).splitlines()]

    def until(self, true: Callable[[], Seen], what: str) -> Seen:
        """Look again and again until `true()`; gives what it gave. The audit trail, for one, follows the answer.

        Raises `AssertionError` with `what` and the log after `PATIENCE`.
        """
        deadline = time.monotonic() + PATIENCE
        while not (seen := true()):
            if time.monotonic() > deadline:
                raise AssertionError(f"in {PATIENCE:.0f} s not seen: {what}\n{self.log()}")
            time.sleep(0.05)
        return seen

    def token(self, user: str, *words: str) -> str:
        """Issue a gateway token."""
        return self.run("token", "issue", "--user", user, *words).strip()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._finish()

    def stop(self) -> None:
        """SIGTERM, then wait. Raises `AssertionError` if it does not stop by itself."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._finish()
            raise AssertionError(f"the gateway did not stop by itself:\n{self.log()}") from None
        self._finish()

    def _finish(self) -> None:
        assert self._process is not None
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
