"""Loaded by Python itself where `PYTHONPATH` names this directory: puts a disk with faults under a gateway.

`RECGATE_TEST_DISK` is a directory: `root` in it names what lies on that disk, `rules.json` says what goes wrong there
at the moment, and where there is `power`, what was synced is kept apart in it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import select
import sys
from pathlib import Path


def _module(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Rules:
    """Looks at `rules.json` whenever it has changed: `[{"below": path, "calls": […], "errno": n, "delay": s}]`."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._state = None
        self._rules: list[dict] = []

    def _current(self) -> list[dict]:
        found = os.stat(self._path)
        state = (found.st_mtime_ns, found.st_ino)
        if state != self._state:
            with open(self._path) as file:
                self._rules = json.load(file)
            self._state = state
        return self._rules

    def __call__(self, name, path, real, args, more):
        for rule in self._current():
            if path.startswith(rule["below"]) and name in rule["calls"]:
                select.select([], [], [], rule.get("delay", 0))  # slow, as told
                if "errno" in rule:
                    raise OSError(rule["errno"], os.strerror(rule["errno"]), path)
        return real(*args, **more)


def _begin(place: Path) -> None:
    if not {"serve", "recgate.recording.worker"} & set(sys.orig_argv):
        return
    tests = Path(__file__).parents[2] / "core" / "tests"
    layer = _module("recgate_faultlayer", tests / "faultlayer.py")
    root = Path((place / "root").read_text())
    if (place / "power").is_dir():
        layer.install(
            root, _module("recgate_syncedcopy", tests / "syncedcopy.py").SyncedCopy(root, place / "power")
        )
    else:
        layer.install(root, Rules(place / "rules.json"))


if "RECGATE_TEST_DISK" in os.environ:
    _begin(Path(os.environ["RECGATE_TEST_DISK"]))
