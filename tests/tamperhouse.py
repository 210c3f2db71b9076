"""Recordings for the tamper matrix: made by the shipped gateway, watched by a witness, copied to be tampered with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner

from recgate.cli import main
from recgate.keys import GatewayKeys
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.cosignature import cosignatures
from recgate.ledger.entries import NOBODY, pack_entry
from recgate.ledger.log import Ledger
from recgate.ledger.note import Vkey, parse_note
from recgate.recipients.keys import Identity
from recgate.recording.ledgered import LEDGER
from recgate.witness.judging import add_logs, make_witness
from tests.crashhouse import CrashGate
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd

__all__ = ["KINDS", "PROTOCOLS", "TamperHouse", "Tree", "Verdict"]

PATIENCE: Final = 60.0
PROTOCOLS: Final = ("postgres", "ssh")
KINDS: Final = ("plain", "sealed")
# More than two parts of the journal, so that there are segments to swap; it compresses to almost nothing.
LONG: Final = 2_300_000
# So many that the ledger has a full bundle and tiles above it, as one that is a week old has.
OLD_ENTRIES: Final = 300
HOUR: Final = 3600 * 10**9  # ns
WITNESS: Final = "elsewhere.example/w"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `recgate verify --json` said: its exit status, and its reports by session."""

    exit: int
    reports: dict[str, dict[str, Any]]
    errors: str = ""

    def status(self, session: str) -> str:
        return self.reports[session]["status"]

    def said(self, session: str) -> list[str]:
        """Give the problems of a session, each as place and words."""
        return [f"{each['where']}: {each['what']}" for each in self.reports[session]["problems"]]

    @property
    def ledger(self) -> list[str]:
        return self.said(LEDGER) if LEDGER in self.reports else []


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of what a gateway has, as an auditor gets it. `trust` and what the witness kept are not part of it."""

    root: Path
    trust: Path

    @property
    def recordings(self) -> Path:
        return self.root / "recordings"

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    def place(self, session: str) -> Path:
        """Give the directory of a recording."""
        return next(self.recordings.glob(f"*/*/*/{session}"))

    def segment(self, session: str, number: int) -> Path:
        return self.place(session) / f"{number:06d}.seg"

    def words(self, *more: str) -> list[str]:
        return [
            "verify",
            "--all",
            "--json",
            "--store",
            str(self.recordings),
            "--trust",
            str(self.trust),
            *more,
        ]

    def verify(self, *more: str) -> Verdict:
        """Run the command in this process."""
        done = CliRunner().invoke(main, self.words(*more))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise AssertionError(f"verify ended in {done.exception!r}") from done.exception
        return _verdict(done.exit_code, done.stdout, done.stderr)

    def shipped(self, *more: str) -> Verdict:
        """Run the command as it is shipped, a process of its own."""
        environment = {name: value for name, value in os.environ.items() if name != "RECGATE_CONFIG"}
        done = subprocess.run(
            [sys.executable, "-m", "recgate", *self.words(*more)], capture_output=True, text=True, check=False,
            timeout=PATIENCE, cwd=self.root, env=environment,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return _verdict(done.returncode, done.stdout, done.stderr)


def _verdict(status: int, output: str, errors: str) -> Verdict:
    return Verdict(status, {each["session"]: each for each in map(json.loads, output.splitlines())}, errors)


class TamperHouse(CrashGate):
    """A gateway that has recorded one session of each protocol, and one that it died over; it is stopped by then.

    `sessions` has them by protocol, and under `recovered`; `kept` is the head that the witness holds elsewhere.
    """

    def __init__(self, directory: Path, cluster: Cluster, sshd: Sshd, kind: str) -> None:
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir(parents=True)
        self.auditor = Identity.generate()
        self.identity = self.elsewhere / "auditor.key"
        self.identity.write_bytes(self.auditor.text.reveal() + b"\n")
        self.identity.chmod(0o600)
        self.witness = make_witness(self.elsewhere / "witness", WITNESS)
        witnesses = [{"path": str(self.elsewhere / "witness"), "key": self.witness.text}]
        seal_to = [self.auditor.recipient.text] if kind == "sealed" else []
        super().__init__(directory, cluster, sshd, witnesses=witnesses, seal_to=seal_to)
        keys = GatewayKeys(self.data_dir, "gate-test")
        self.vkey = Vkey(keys.ledger_origin, 1, keys.ledger.public_key().public_bytes_raw())
        add_logs(self.elsewhere / "witness", [self.vkey])
        begin = time.time_ns() - OLD_ENTRIES * HOUR
        old = [
            pack_entry("admin", begin + number * HOUR, "token.issued", bytes(32), NOBODY)
            for number in range(OLD_ENTRIES)
        ]
        Ledger(self.data_dir / "ledger", keys.ledger, keys.ledger_origin).append(old)
        self.sessions: dict[str, str] = {}
        self.kept = self.elsewhere / "kept.checkpoint"
        self.trust = self.elsewhere / "trust.json"

    def record(self) -> None:
        """Make the recordings, and stop."""
        self.start()
        self._known("postgres", lambda: self._ask(f"SELECT repeat('x', {LONG})"))
        self._known("ssh", self._shell)
        talk = self._talk()
        self.kill()
        talk.communicate(timeout=PATIENCE)
        self.start()
        self._known("recovered", lambda: None)
        self.until(self._all_cosigned, "a cosignature over all of it")
        shutil.copy(self.data_dir / "ledger" / "checkpoint", self.kept)
        self.stop()
        shutil.copy(self.data_dir / "trust.json", self.trust)

    def copy(self, place: Path) -> Tree:
        """Copy what an auditor gets to a place that does not exist yet."""
        for name in ("recordings", "ledger"):
            shutil.copytree(self.data_dir / name, place / name)
        if (keys := self.data_dir / "erasure.sqlite3").exists():
            shutil.copy(keys, place)
        return Tree(place, self.trust)

    def _known(self, name: str, act: Any) -> None:
        act()
        before = set(self.sessions.values())
        ended = lambda: [  # noqa: E731
            str(row["id"]) for row in self.rows("sessions")
            if row["status"] in ("sealed", "recovered") and row["id"] not in before
        ]  # fmt: skip
        self.until(ended, f"the recording of {name}")
        (self.sessions[name],) = ended()

    def _psql(self) -> list[str]:
        address = f"host=127.0.0.1 port={self.port('postgres')} user=prod-db dbname=postgres sslmode=disable"
        return [str(debian_bin() / "psql"), "-X", "-q", "-A", "-t", "-d", address]

    def _ask(self, statement: str) -> None:
        environment = {**os.environ, "PGPASSWORD": self.token_of_alice}
        done = subprocess.run(
            [*self._psql(), "-c", statement], capture_output=True, env=environment, check=True
        )
        assert len(done.stdout) > LONG

    def _shell(self) -> None:
        command = f"head -c {LONG} /dev/zero | tr '\\0' y"
        done = subprocess.run(
            [*self.ssh(), command], capture_output=True, stdin=subprocess.DEVNULL, check=True
        )
        assert len(done.stdout) == LONG

    def _talk(self) -> subprocess.Popen[str]:
        talk = subprocess.Popen(
            self._psql(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PGPASSWORD": self.token_of_alice},
        )  # fmt: skip
        assert talk.stdin is not None
        assert talk.stdout is not None
        talk.stdin.write(f"SELECT repeat('z', {LONG});\nSELECT 'cut off';\n")
        talk.stdin.flush()
        assert len(talk.stdout.readline()) == LONG + 1
        assert talk.stdout.readline() == "cut off\n"
        return talk

    def _all_cosigned(self) -> bool:
        note = parse_note((self.data_dir / "ledger" / "checkpoint").read_bytes())
        return bool(cosignatures(note, [self.witness])) and parse_checkpoint(note.text).size >= self._size()

    def _size(self) -> int:
        keys = GatewayKeys(self.data_dir, "gate-test")
        return Ledger(self.data_dir / "ledger", keys.ledger, keys.ledger_origin).size
