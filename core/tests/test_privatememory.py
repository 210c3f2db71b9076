"""What the gateway and its worker hold no other process of the same user can read, and no core file shows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# Root may look anyway: so everything here runs without the capability that says so, as a service does.
WITHOUT_PRIVILEGES = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
PATIENCE = 60.0

LOOKING = """
import json, os, pathlib, subprocess, sys
from recgate.testing.process import GatewayProcess

def seen(pid):
    try:
        shown = bool(pathlib.Path(f"/proc/{pid}/environ").read_bytes())
    except PermissionError:
        shown = False
    return {"environ": shown, "limits": pathlib.Path(f"/proc/{pid}/limits").read_text()}

def children(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]

listeners = [{"protocol": "ssh", "bind": "127.0.0.1:0"}]
with GatewayProcess(pathlib.Path(sys.argv[1]), {"listeners": listeners}) as gate:
    gate.until(lambda: children(gate.pid), "a worker")
    (worker,) = children(gate.pid)
    gate.until(lambda: not seen(worker)["environ"], "the worker past its first line")
    print(json.dumps({"gateway": seen(gate.pid), "worker": seen(worker)}))
"""


def run(program: str, *words: str) -> Any:
    """What a program prints that has no privileges."""
    done = subprocess.run(
        [*WITHOUT_PRIVILEGES, sys.executable, "-c", program, *words],
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_process_that_says_nothing_can_be_read() -> None:
    """Without this the next test would show nothing."""
    looking = """
import pathlib, subprocess, sys
with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
    # Empty for the moment between the start of a program and its stack.
    while not (size := len(pathlib.Path(f"/proc/{other.pid}/environ").read_bytes())):
        pass
    print(size)
"""
    assert run(looking) > 0


def test_neither_the_gateway_nor_its_worker_can_be_read_or_dumped(tmp_path: Path) -> None:
    for name, seen in run(LOOKING, str(tmp_path)).items():
        assert not seen["environ"], name
        # Soft and hard: nobody raises it again.
        assert "Max core file size        0                    0 " in seen["limits"], name


def test_a_process_keeps_itself_private() -> None:
    program = """
import ctypes, resource
from recgate.privatememory import keep_memory_private
keep_memory_private()
print([ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE)])
"""
    assert run(program) == [0, 0, 0]


def test_a_kernel_that_refuses_is_said() -> None:
    program = """
import ctypes, json
from recgate.errors import RecgateError
from recgate.privatememory import keep_memory_private

class Libc:
    def prctl(self, *words):
        ctypes.set_errno(1)
        return -1

ctypes.CDLL = lambda *words, **options: Libc()
try:
    keep_memory_private()
except RecgateError as refused:
    print(json.dumps(str(refused)))
"""
    assert "Operation not permitted. Allow prctl" in run(program)
