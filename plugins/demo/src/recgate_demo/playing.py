"""Play both clients, as two people at their terminals would: Debian's `psql`, OpenSSH's `ssh` and `scp`."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from recgate_demo.setup import Demo
from recgate_demo.typist import type_lines

__all__ = [
    "ANSWER", "CLIENT", "COMMAND", "CREATE", "DROP", "PROMPT", "SELECT", "TYPED", "Finding", "Played",
    "fresh_environment", "play", "run_client",
]  # fmt: skip

CLIENT: Final = 60.0  # seconds for one client
RELEASE: Final = 200_000  # bytes of the file that is copied

SELECT: Final = "SELECT name, email, card, ssn FROM customers WHERE city = 'Boston' ORDER BY id"
CREATE: Final = "CREATE DATABASE shop_archive"
DROP: Final = "DROP DATABASE shop_archive"
TYPED: Final = ("whoami", "echo $((6 * 7))", "exit 7")
ANSWER: Final = re.compile(r"(?:^|[\r\n])42[\r\n]")  # a line of its own: what was typed has no 42 in it
PROMPT: Final = b"$ "
COMMAND: Final = "wc -l < logs/access.log; exit 3"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: what, whether it is so, and what was found."""

    what: str
    ok: bool
    detail: str


@dataclass(slots=True)
class Played:
    """What the clients saw, which the recordings have to agree with."""

    findings: list[Finding] = field(default_factory=list[Finding])
    result: list[list[str]] = field(default_factory=list[list[str]])
    sha256: str = ""
    sessions: int = 0

    def check(self, what: str, ok: bool, detail: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(what, ok, detail))


def play(demo: Demo, scratch: Path, say: Callable[[str], None]) -> Played:
    """Run every client once. Whatever goes wrong becomes a finding, and the next client is played."""
    played = Played()
    say("psql as alice: a query, CREATE DATABASE, DROP DATABASE …")
    _alice_in_the_database(demo, played)
    say("psql as bob: a harmless query through the same database account …")
    _bob_in_the_database(demo, played)
    say("ssh as alice: a login shell, a command …")
    _alice_in_the_shell(demo, played)
    say("scp as alice: a file there and back …")
    _alice_copies(demo, played, scratch)
    say("ssh as bob, who may not …")
    _bob_at_the_shells_door(demo, played)
    return played


def _alice_in_the_database(demo: Demo, played: Played) -> None:
    words = ["--no-psqlrc", "--csv", "--set", "ON_ERROR_STOP=1", "-c", SELECT, "-c", CREATE, "-c", DROP]
    done = run_client(demo.people["alice"].psql(*words))
    lines = list(csv.reader(io.StringIO(done.stdout)))
    tags = [line[0] for line in lines if line in (["CREATE DATABASE"], ["DROP DATABASE"])]
    played.result = [line for line in lines if len(line) > 1]
    ok = done.returncode == 0 and tags == ["CREATE DATABASE", "DROP DATABASE"] and len(played.result) > 1
    played.check(
        "psql reaches the database", ok, _said(done, f"{len(played.result) - 1} rows, {', '.join(tags)}")
    )
    played.sessions += 1


def _bob_in_the_database(demo: Demo, played: Played) -> None:
    query = "SELECT current_user, count(*) FROM orders"
    done = run_client(demo.people["bob"].psql("--no-psqlrc", "--csv", "--tuples-only", "-c", query))
    ok = done.returncode == 0 and done.stdout.strip() == f"{demo.database.username},200"
    played.check("bob does too, as the same account", ok, _said(done, done.stdout.strip()))
    played.sessions += 1


def _alice_in_the_shell(demo: Demo, played: Played) -> None:
    alice = demo.people["alice"]
    done = type_lines(alice.ssh(), TYPED, PROMPT, CLIENT, fresh_environment())
    ok = (
        done.returncode == 7
        and demo.machine.username in done.stdout
        and ANSWER.search(done.stdout) is not None
    )
    played.check(
        "ssh opens a login shell in a pty",
        ok,
        f"exit status {done.returncode}, as typed" if ok else done.stdout,
    )
    done = run_client(alice.ssh(COMMAND))
    ok = (done.returncode, done.stdout.strip()) == (3, "40")
    played.check(
        "ssh runs a command", ok, _said(done, f"output {done.stdout.strip()}, exit status {done.returncode}")
    )
    played.sessions += 2


def _alice_copies(demo: Demo, played: Played, scratch: Path) -> None:
    release, back = scratch / "release.bin", scratch / "back.bin"
    release.write_bytes(secrets.token_bytes(RELEASE))
    played.sha256 = hashlib.sha256(release.read_bytes()).hexdigest()
    alice = demo.people["alice"]
    there = run_client(alice.scp(str(release), ":release.bin"))
    again = (
        run_client(alice.scp(":release.bin", str(back), options=["-O"])) if there.returncode == 0 else there
    )
    same = back.is_file() and hashlib.sha256(back.read_bytes()).hexdigest() == played.sha256
    ok = there.returncode == 0 and again.returncode == 0 and same
    failed = again if there.returncode == 0 else there
    played.check(
        "scp copies a file, by SFTP there and by rcp's protocol back", ok, _said(failed, f"{RELEASE} bytes")
    )
    played.sessions += 2


def _bob_at_the_shells_door(demo: Demo, played: Played) -> None:
    done = run_client(demo.people["bob"].ssh("id", options=["-o", "BatchMode=yes"]))
    ok = done.returncode != 0 and "uid=" not in done.stdout
    said = " ".join(done.stderr.split())[-100:]
    played.check("bob is refused at prod-web", ok, said or f"exit status {done.returncode}")


def fresh_environment() -> dict[str, str]:
    """Give the environment of a fresh login: what PG… variables or an agent may say is not the demo's."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "SSH_"))}
    return {**own, "TERM": "xterm-256color"}


def run_client(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a client that nobody types into; -1 is the status of one that did not end."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLIENT,
            check=False,
            env=fresh_environment(),
        )
    except subprocess.TimeoutExpired as exc:
        said = exc.stderr.decode(errors="replace") if isinstance(exc.stderr, bytes) else str(exc.stderr or "")
        return subprocess.CompletedProcess(command, -1, "", f"nothing more within {CLIENT:.0f} s. {said}")


def _said(done: subprocess.CompletedProcess[str], well: str) -> str:
    """Give what a table shows: `well`, and what the client complained of if it did."""
    complaint = " ".join(done.stderr.split()).replace("Connection to 127.0.0.1 closed.", "").strip()
    return f"{well}; it said: {complaint[-200:]}" if complaint else well
