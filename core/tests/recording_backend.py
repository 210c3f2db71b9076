"""What the sealing worker of these tests seals into: the file store, and an indexer that writes down what it is told.

The worker is a process of its own, so it finds this module by PYTHONPATH and gets its instructions as an argument.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from recgate.recording.indexer import Backend
from recgate_store_file.store import FileStore


class DiaryIndexer:
    """Keeps a line a call in a file; its state is how many frames it has seen."""

    def __init__(self, diary: Path, trouble: str) -> None:
        self.diary = diary
        self.trouble = trouble
        self.seen: dict[str, int] = {}

    def _write(self, session: str, *words: object) -> None:
        with self.diary.open("a") as file:
            file.write(json.dumps([session, *words]) + "\n")

    def restore(self, session, opened, state):
        self.seen[session] = int(state or b"0")
        self._write(session, "restore", opened.get("user"), self.seen[session])

    def feed(self, session, opened, frames):
        if self.trouble == "raise":
            raise ValueError("the indexer was told to raise")
        if self.trouble == "die" and any(frame.data == b"poison" for frame in frames):
            os.kill(os.getpid(), signal.SIGKILL)
        self.seen[session] += len(frames)
        self._write(session, "feed", frames[0].seq, frames[-1].seq)

    def save(self, session):
        return str(self.seen[session]).encode()

    def finish(self, session, end, status):
        self._write(session, "finish", status, end["reason"], end.get("index_problem", ""))


def build(argument: bytes) -> Backend:
    """`argument` is JSON: store, diary, trouble."""
    told = json.loads(argument)
    return Backend(FileStore(Path(told["store"])), DiaryIndexer(Path(told["diary"]), told.get("trouble", "")))


def raising(argument: bytes) -> Backend:
    """Refuse to begin, as a plugin does that cannot be built."""
    raise ValueError("no backend today")


def printing(argument: bytes) -> Backend:
    """Print where messages would go, as a careless plugin does."""
    os.write(1, b"printed by a plugin\n")
    return build(argument)
