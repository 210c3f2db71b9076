"""A witness that is not ours (aics-witness, C2SP tlog-witness), and a reader of logs of the same origin."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

__all__ = ["ForeignWitness", "run_foreign"]

HERE = Path(__file__).parents[2] / ".venv/c2sp"
PATIENCE = 60


def _environment() -> dict[str, str]:
    if not (HERE / "aics_witness").is_dir():
        raise AssertionError(
            "aics-witness is not installed: `make test` does that, and so does `make .venv/.recgate/c2sp`"
        )
    return {**os.environ, "PYTHONPATH": str(HERE)}


def run_foreign(program: str, *words: str) -> str:
    """Run a program that uses their library, and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True, text=True, check=False, timeout=PATIENCE, env=_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class ForeignWitness:
    """Runs while a `with` block lasts, on a free port. `key` is what its cosignatures are verified with."""

    def __init__(self, directory: Path, name: str = "foreign.example/w") -> None:
        self.config = directory / "witness.json"
        self._log = directory / "witness.log"
        self._process: subprocess.Popen[str] | None = None
        said = self._run("init", "--name", name)
        self.key = next(line.split()[-1] for line in said.splitlines() if name in line and "+" in line)
        self.url = ""

    def _run(self, *words: str) -> str:
        command = [sys.executable, "-m", "aics_witness", words[0], "--config", str(self.config), *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
        assert done.returncode == 0, done.stderr
        return done.stdout

    def follow(self, origin: str, vkey: str) -> None:
        """Look at a log."""
        self._run("add-log", "--origin", origin, "--vkey", vkey)

    def evidence(self) -> str:
        """Give what it kept as proof of misbehaviour (JSON)."""
        return self._run("evidence")

    def __enter__(self) -> ForeignWitness:
        command = [sys.executable, "-m", "aics_witness", "serve", "--config", str(self.config)]
        command += ["--listen", "127.0.0.1:0"]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, text=True, env=_environment()
            )
        return self

    def address(self) -> str:
        """Give where it answers, or the empty string while it does not say."""
        found = re.search(r"127\.0\.0\.1:([1-9][0-9]*)", self._log.read_text())
        return f"http://127.0.0.1:{found[1]}" if found else ""

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)
