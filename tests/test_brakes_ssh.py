"""Brakes at a real sshd: bytes of commands and copies end at their line, files at theirs; days survive a restart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.peers.sshd import Sshd
from tests.test_ssh_gateway import PATIENCE, SshGate

LINE = 100_000
RULES: list[dict[str, Any]] = [
    {"name": "bytes", "when": f"session.bytes > {LINE}", "then": "deny", "message": "Ask for an export."},
    {"name": "files", "when": 'request.kind == "file" && session.files > 3', "then": "deny", "message": "One by one."},
    {"name": "day", "when": "principal.bytes_today > 350000", "then": "deny", "message": "Enough for today."},
]  # fmt: skip


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def test_bytes_files_and_days(tmp_path: Path, sshd: Sshd) -> None:
    (tmp_path / "gate").mkdir()
    with SshGate(tmp_path / "gate", sshd, policies=RULES) as gate:
        done = gate.ssh("head -c 100000 /dev/zero; exit 3")
        assert (len(done.stdout), done.stderr, done.returncode) == (LINE, b"", 3)
        done = gate.ssh("head -c 5000000 /dev/zero")
        assert (len(done.stdout), done.returncode) == (LINE, 1)
        assert b"bytes: Ask for an export. (recgate session " in done.stderr
        (tmp_path / "big").write_bytes(b"x" * 300_000)
        line = gate.line()
        copied = subprocess.run(
            ["scp", "-O", *line[1 : line.index("-p")], "-P", line[line.index("-p") + 1],
             f"{line[-1]}:{tmp_path / 'big'}", str(tmp_path / "copy")],
            capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert copied.returncode != 0
        assert b"bytes: Ask for an export." in copied.stderr
        assert (tmp_path / "copy").stat().st_size <= LINE
        gate.stop()
        gate.start()
        # Some 300,000 bytes today, in three sessions of the gateway before this one.
        done = gate.ssh("head -c 90000 /dev/zero")
        assert (done.returncode, b"day: Enough for today." in done.stderr) == (1, True)
        assert 0 < len(done.stdout) < 60_000
        assert b"day: Enough" in gate.ssh("echo x").stderr
