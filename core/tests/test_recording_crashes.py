"""Killed at every call that changes a file, one after the other: what was accepted is recovered, byte for byte.

Threat 21, exhaustively for one script of sessions. Each time a process of its own plays it and dies before the call,
or in the middle of it; what it had accepted by then it has told through a pipe.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import cbor2
import pytest

from core.tests.disks import small_disk
from core.tests.faultlayer import Counting, die, die_torn, failing, install
from core.tests.recordings import Maker
from recgate.errors import RecordingFailed
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.recipients.keyring import Keyring
from recgate.recipients.keys import Identity
from recgate.recording.directory import is_session
from recgate.recording.journalfiles import DAMAGED
from recgate.recording.reader import Archive
from recgate.recording.recovery import recover
from recgate.recording.sealer import Work
from recgate.recording.segment import read_segment
from recgate.recording.verify import Status, verify_session
from recgate.sansio.frames import CLIENT, UPSTREAM

TRIES = 5  # of one seal, as the service does it
LARGE = os.urandom(40_000)


class Stage:
    """Where a script plays: a gateway's journal and store, and the pipe that says what was accepted."""

    def __init__(self, path: Path, auditor: Identity | None = None) -> None:
        path.mkdir()
        self.root = path
        self.maker = Maker(path)
        self.auditor = auditor
        if auditor is not None:
            self.maker.auditors.become([auditor.recipient.text])
        self.told = -1
        self.calls = 0

    def play(self, act, script) -> int:
        """Play in a process of its own; gives its exit status. `accepted` has what it told until then."""
        reading, self.told = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                install(self.root, act)
                script(self)
                self.tell({"calls": act.count})
                status = 0
            except BaseException as error:  # noqa: BLE001 - told to the test, which fails
                self.tell({"error": repr(error)})
            finally:
                os._exit(status)
        os.close(self.told)
        with open(reading, "rb") as pipe:
            heard = pipe.read()
        _, ended = os.waitpid(child, 0)
        self.accepted: dict[str, list[bytes]] = {}
        for message in _messages(heard):
            assert "error" not in message, message
            self.calls = message.get("calls", self.calls)
            for session, data in message.get("accepted", {}).items():
                self.accepted.setdefault(session, []).append(data)
        return os.waitstatus_to_exitcode(ended)

    def tell(self, message) -> None:
        data = cbor2.dumps(message)
        os.write(self.told, len(data).to_bytes(4, "big") + data)

    def recover(self) -> None:
        """What the sweeper of the next gateway does."""
        sealer = self.maker.new_sealer()
        for name in sorted(filter(is_session, os.listdir(self.maker.journals))):
            recover(sealer, name, "killed")

    def proven(self) -> None:
        """Every session has what was accepted of it, in order, and at most the one frame that nobody was told of."""
        maker = self.maker
        assert list(filter(is_session, os.listdir(maker.journals))) == []
        assert not (maker.journals / DAMAGED).exists()
        assert [path.name for path in maker.store.root.rglob(".*")] == []
        for session, accepted in self.accepted.items():
            report = verify_session(session, maker.store, maker.trust, journal=maker.journals)
            assert report.problems == []
            segments = [
                read_segment(maker.store.get(session, name)) for name in maker.store.objects(session)[1:]
            ]
            recovered = any(segment.seal.recovered for segment in segments)
            assert report.status is (Status.RECOVERED if recovered else Status.COMPLETE)
            ours = [self.auditor] if self.auditor else []
            keyring = Keyring(ours, ErasureKeys(self.root / ERASURE_FILE))
            frames = list(Archive(maker.store, keyring=keyring).frames(session))
            assert (frames[0].kind, frames[-1].kind) == ("opened", "closed")
            wire = [frame.data for frame in frames if frame.side != 2]
            assert wire[: len(accepted)] == accepted
            assert len(wire) <= len(accepted) + 1


def _messages(heard: bytes):
    while heard:
        size = int.from_bytes(heard[:4], "big")
        yield cbor2.loads(heard[4 : 4 + size])
        heard = heard[4 + size :]


class Session:
    """One session of a script: appends, and seals as the service and its worker do."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.id, self.journal = stage.maker.open()
        self._parts = stage.maker.parts[self.id]

    def say(self, *words: bytes) -> None:
        for number, data in enumerate(words):
            self.journal.append((CLIENT, UPSTREAM)[number % 2], "F", data)
            self._stage.tell({"accepted": {self.id: data}})

    def seal(self, *last, preallocated: bool = False) -> None:
        parts = tuple((part.number, part.size) for part in (*self._parts, *last))
        self._parts.clear()
        work = Work(self.id, parts, bool(last), preallocated)
        for attempt in range(TRIES):
            try:
                self._stage.maker.sealer.seal(work)
            except (RecordingFailed, OSError):
                if attempt == TRIES - 1:
                    raise
            else:
                return

    def end(self, reason: str) -> None:
        last, preallocated = self.journal.close({"reason": reason})
        self.journal.release()
        self.seal(last, preallocated=preallocated)


def sessions(stage: Stage) -> None:
    """A session of three segments, one that ends on a full disk, one that is not over."""
    for begin in (three_segments, a_full_disk, not_over):
        try:
            session = Session(stage)
        except RecordingFailed:
            continue  # it never began
        try:
            begin(session)
        except RecordingFailed as error:
            session.end(str(error))


def three_segments(session: Session) -> None:
    session.say(b"one", b"two")
    session.journal.rotate()
    session.seal()
    for word in (b"three", b"four"):
        session.say(word, LARGE)
        session.journal.rotate()
    session.seal()
    session.say(b"five")
    session.end("client-closed")


def a_full_disk(session: Session) -> None:
    session.say(b"one")
    session.journal.fail("the disk is full")
    session.end("recording")


def not_over(session: Session) -> None:
    session.say(b"one")
    session.journal.rotate()
    session.say(b"two", b"three")
    session.seal()


def calls_of(path: Path, script, auditor: Identity | None = None) -> int:
    """How many calls a script makes, when nothing goes wrong."""
    stage = Stage(path, auditor)
    assert stage.play(Counting(0, die), script) == 0
    return stage.calls


@pytest.fixture
def disk(tmp_path):
    """In memory: thousands of syncs of a real disk would take minutes, and what they do is not the question here."""
    with small_disk(tmp_path / "disk", "512m") as place:
        yield place


@pytest.mark.parametrize(
    ("death", "auditor"),
    [(die, None), (die_torn, None), (die, Identity.generate())],
    ids=["", "torn", "sealed"],
)
def test_killed_at_any_call_what_was_accepted_is_recovered(disk, death, auditor):
    calls = calls_of(disk / "whole", sessions, auditor)
    assert calls > 60
    for at in range(1, calls + 1):
        stage = Stage(disk / f"{at}", auditor)
        assert stage.play(Counting(at, death), sessions) == -signal.SIGKILL
        stage.recover()
        stage.proven()


def recovering(stage: Stage) -> None:
    stage.recover()


@pytest.mark.parametrize("death", [die, die_torn])
def test_killed_at_any_call_of_the_recovery_the_next_one_ends_it(disk, death):
    """From what is left after some deaths, and at the end, when most is left to do."""
    calls = calls_of(disk / "whole", sessions)
    deaths = 0
    for first in (*range(20, calls, 40), 0):
        at, status = 0, 1
        while status:
            at += 1
            stage = Stage(disk / f"{first}-{at}")
            stage.play(Counting(first, die), sessions)
            accepted = stage.accepted
            status = stage.play(Counting(at, death), recovering)
            stage.accepted = accepted
            stage.recover()
            stage.proven()
        deaths += at - 1
    assert deaths > 50


@pytest.mark.parametrize(("code", "torn"), [(errno.EIO, False), (errno.ENOSPC, True)])
def test_an_error_at_any_call_ends_no_more_than_its_session(disk, code, torn):
    """The session stops, or its seal is tried again; what was accepted is there either way."""
    calls = calls_of(disk / "whole", sessions)
    for at in range(1, calls + 1):
        stage = Stage(disk / f"{at}")
        assert stage.play(Counting(at, failing(code, torn=torn)), sessions) == 0
        stage.recover()
        stage.proven()
