"""`recgate demo` as one meets it: its lines pasted, then Ctrl-C; and its own check, which must be able to fail."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recgate_demo.answers import DROPS
from recgate_demo.checking import check_recordings
from recgate_demo.gate import Recgate
from recgate_demo.guarded import ALIASED, DROP_TABLE
from recgate_demo.playing import Played
from recgate_demo.typist import type_lines

PATIENCE = (
    90.0  # seconds for the demo to come up, or to say something; a loaded machine needs a good part of it
)
READY = "What people do appears below"


class ByHand:
    """A `recgate demo` in a process of its own, read as it prints."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.output = directory.with_name("demo.out")
        with self.output.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "recgate", "demo", "--directory", str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )

    def said(self) -> str:
        return self.output.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, f"{text!r} is not in:\n{self.said()}"
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue

    def line(self, who: str, program: str) -> str:
        """Give a printed line as one would paste it."""
        person = self.said().partition(f"# as {who}")[2].partition("\n\n")[0]
        (line,) = re.findall(rf"^ +{program} .*$", person, re.M)
        return line

    def children(self) -> set[int]:
        found = set()
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == self.process.pid:
                found.add(int(entry.parent.name))
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def by_hand(tmp_path):
    demo = ByHand(tmp_path / "demo")
    try:
        demo.wait_for(READY)
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.stop()


def paste(line: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f'{line} "$@"', "bash", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# One test each, since setting up a demo is most of the work.


@pytest.mark.timeout(300)  # a good minute of honest work, and more on a loaded machine
def test_lines_work_as_printed_and_what_they_did_is_told(by_hand):
    psql(by_hand)
    ssh(by_hand)
    refused(by_hand)
    interrupted(by_hand)


def psql(by_hand):
    statements = [
        "SELECT name, card FROM customers WHERE id = 1",
        "CREATE DATABASE scratch",
        "DROP DATABASE scratch",
    ]
    done = paste(by_hand.line("alice", "psql"), "-X", *(word for each in statements for word in ("-c", each)))

    assert done.returncode == 0, done.stderr
    assert "Ada Marchetti" in done.stdout
    guarded = paste(by_hand.line("alice", "psql"), "-X", "-c", ALIASED, "-c", DROP_TABLE)
    assert "*******6789" in guarded.stdout
    assert "no-dropped-tables: Tables are dropped by migrations." in guarded.stderr
    by_hand.wait_for("Who ran the DROP DATABASE? alice did.")
    by_hand.wait_for("What data did that query return? 1 rows:")
    by_hand.wait_for("Ada Marchetti  ***************1111")
    by_hand.wait_for("its recording verifies as complete")


def ssh(by_hand):
    env = {"PATH": os.environ["PATH"], "TERM": "xterm"}
    line = ["bash", "-c", by_hand.line("alice", "ssh")]
    done = type_lines(line, ["echo $((20 + 3))", "exit 4"], b"$ ", PATIENCE, env)

    assert done.returncode == 4
    assert re.search(r"[\r\n]23[\r\n]", done.stdout)
    by_hand.wait_for("alice · echo $((20 + 3))")


def refused(by_hand):
    done = paste(by_hand.line("bob", "ssh"), "-o", "BatchMode=yes", "id")

    assert done.returncode != 0
    by_hand.wait_for("✗ bob → prod-web")


def interrupted(by_hand):
    children = by_hand.children()
    (port,) = re.findall(r"postgres on 127\.0\.0\.1:(\d+)", by_hand.said())
    assert len(children) == 3, "PostgreSQL, the SSH target, the gateway"

    assert by_hand.stop() == 0

    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)
    assert f"The recordings are in {by_hand.directory / 'data'}" in by_hand.said()
    assert Recgate(by_hand.directory / "recgate.yaml").rows("search", DROPS), (
        "they can be read without the gateway"
    )


@pytest.mark.timeout(300)
def test_the_check_passes_and_can_fail(tmp_path):
    directory = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "recgate", "demo", "--check", "--directory", str(directory)],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        r"Who ran the DROP DATABASE\?\n +alice, on prod-db, at .*DROP DATABASE shop_archive", done.stdout
    )
    assert re.search(r"What data did that query return\?\n.*\n +name +email +card +ssn\n", done.stdout)
    assert "Elif Tanaka" in done.stdout
    assert re.search(r"ok +a masked column by another name +\*{7}6789, \*{7}6045\n", done.stdout)
    assert re.search(
        r"ok +a DROP TABLE is refused by name.*no-dropped-tables: Tables are dropped", done.stdout
    )
    assert re.search(
        r"Did somebody paste a secret where it does not belong\?\n +alice, on prod-web \(session", done.stdout
    )
    assert "Who approved the DELETE without WHERE?\n  alice asked, carol approved\n" in done.stdout
    assert "WRONG" not in done.stdout
    recgate = Recgate(directory / "recgate.yaml")
    spoil_a_recording(directory)
    # What clients of another afternoon saw:
    played = Played(result=[["name"], ["Mallory"]], sha256="0" * 64, sessions=6)
    check_recordings(recgate, played, lambda line: None)
    assert "who ran the DROP DATABASE?" not in wrong(played)
    assert wrong(played) >= {
        "what data did that query return?",
        "which files were copied, by SHA-256?",
        "does everything verify?",
        "what was refused, masked and approved?",
    }


def spoil_a_recording(directory):
    segment = max((directory / "data").rglob("*.seg"), key=lambda path: path.stat().st_size)
    data = bytearray(segment.read_bytes())
    data[-40] ^= 1
    segment.chmod(0o600)
    segment.write_bytes(data)


def wrong(played):
    return {finding.what for finding in played.findings if not finding.ok}
