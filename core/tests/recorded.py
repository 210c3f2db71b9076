"""Real recordings for the commands that read them: sealed by a real worker, indexed by the real plugins."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cbor2
import pytest
import trio
from click.testing import CliRunner

from core.tests import tinyproto
from recgate import config as configuration
from recgate.cli import main
from recgate.ids import new_session_id
from recgate.keys import GatewayKeys
from recgate.plugins import Registry
from recgate.recording.service import RecordingService

__all__ = ["SQL", "TERMINAL", "Archive", "furnish"]

EXTRA = {"tiny": tinyproto}
PATIENCE = 60


SQL = [
    (0, "line", b"ask DROP DATABASE customers"),
    (1, "line", b"done 0"),
    (0, "line", b"ask SELECT name\nask ALTER ROLE app PASSWORD 'hunter2'"),
    (1, "line", b"row Ann,\x1b[2Jevil\xe2\x80\xae"),
    (1, "line", b"row Bob"),
    (1, "line", b"done 3\ndone 0"),
]
TERMINAL = [
    (0, "request", {"type": "pty-req", "cols": 100, "rows": 30, "term": "xterm"}, 2),
    (1, "data", b"sftp bytes", 1),
    (1, "data", b"$ ", 2),
    (0, "data", b"ls\r", 2),
    (1, "data", b"\x1b[1mls\r\n", 2),
    (0, "resize", {"cols": 120, "rows": 40}, 2),
    (1, "data", b"a \xc3", 2),
    (1, "data", b"\xa9 b\xff\r\n", 2),
    (1, "exit", {"type": "exit-status", "status": 3}, 2),
]


class Archive:
    """A gateway's data directory with sessions in it, and `recgate` to look at them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.file = path / "recgate.yaml"
        self.file.write_text(
            "gateway: {name: gate-1, data_dir: data}\nplugins: [tiny]\n"
            "listeners: [{protocol: tiny, bind: '127.0.0.1:0'}]\n"
        )
        self.data.mkdir()
        self.errors = ""
        self.session = self.other = self.terminal = ""

    def record(self, *sessions: list[tuple], closed: bool = True, **opened: object) -> list[str]:
        """Record sessions, each a list of (side, kind, data[, channel]); gives their ids once they are sealed.

        Those that are not `closed` are left in the journal, as a live session's frames are.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(
                "PYTHONPATH", str(Path(__file__).parents[2])
            )  # the worker loads the tiny protocol too
            return trio.run(self._record, sessions, closed, opened)

    async def _record(self, sessions, closed, opened) -> list[str]:
        config = configuration.load(self.file, Registry(EXTRA))
        registry = Registry.of(config, EXTRA)
        keys = GatewayKeys.of(config)
        keys.prepare()
        ids: list[str] = []
        with trio.fail_after(PATIENCE):
            async with RecordingService.of(config, registry, keys) as service:
                for frames in sessions:
                    ids.append(new_session_id())
                    recorder = service.open(
                        {
                            "session": ids[-1],
                            "user": "alice",
                            "groups": ["dba"],
                            "target": "prod-db",
                            "protocol": "tiny",
                            "source": "10.0.0.7:40112",
                            "started": time.time_ns(),
                            **opened,
                        }
                    )
                    for side, kind, data, *channel in frames:
                        recorder.append(
                            side, kind, cbor2.dumps(data) if isinstance(data, dict) else data, *channel
                        )
                    if closed:
                        await recorder.close({"reason": "client-closed"})
                    while registry.catalog.get(ids[-1]) is None:  # noqa: ASYNC110 - another process does it
                        await trio.sleep(0.01)  # the worker lists it when it has read its first frame
        registry.catalog.close()
        return ids

    def run(self, *words: str, status: int | None = 0, input: str | None = None) -> str:  # noqa: A002 - click's word
        """Run `recgate` and give its standard output; `errors` has the other."""
        result = CliRunner().invoke(
            main, [words[0], "--config", str(self.file), *words[1:]], obj=EXTRA, input=input
        )
        self.errors = result.stderr
        assert result.exit_code == status, f"{result.output}\n{result.stderr}\n{result.exception!r}"
        return result.stdout

    def run_bytes(self, *words: str) -> bytes:
        """Run `recgate` and give the bytes of its standard output."""
        result = CliRunner().invoke(main, [words[0], "--config", str(self.file), *words[1:]], obj=EXTRA)
        assert result.exit_code == 0, result.stderr
        return result.stdout_bytes

    def run_json(self, *words: str, **how: Any) -> list[dict]:
        """Run `recgate … --json`."""
        return [json.loads(line) for line in self.run(*words, "--json", **how).splitlines()]


def furnish(archive: Archive) -> Archive:
    """Record the sessions that the tests of the commands look at, oldest first."""
    archive.session, archive.other = archive.record(SQL, SQL[:2])
    (archive.terminal,) = archive.record(TERMINAL, protocol="tinyterm", user="bob", target="prod-web")
    return archive
