"""Recordings for tests, sealed by the code that seals real ones, without a worker process in between."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.ids import new_session_id
from recgate.recipients.auditors import Auditors
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.recording.cose import public_bytes
from recgate.recording.indexer import NoIndexer
from recgate.recording.journal import Journal, Part
from recgate.recording.leaves import Leaves, LedgerPlan
from recgate.recording.recovery import recover
from recgate.recording.sealer import Sealer, Signer, Work
from recgate.recording.trust import Trust
from recgate.sansio.frames import GATEWAY
from recgate_store_file.store import FileStore


class Shelf:
    """Objects by session and name, for a test to change: what a store gives a reader."""

    def __init__(self) -> None:
        self.content: dict[str, dict[str, bytes]] = {}

    def get(self, session: str, name: str) -> bytes:
        return self.content[session][name]

    def objects(self, session: str) -> list[str]:
        return sorted(self.content.get(session, ()))

    def sessions(self) -> list[str]:
        return sorted(self.content)


class Maker:
    """One gateway's keys and directories, and recordings made with them."""

    def __init__(self, path: Path, name: str = "gate-1") -> None:
        self.identity = Ed25519PrivateKey.generate()
        self.wrapping = os.urandom(32)
        self.journals = path / "journal"
        self.journals.mkdir(parents=True)
        self.store = FileStore(path / "recordings")
        self.parts: dict[str, list[Part]] = {}
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.erasure = ErasureKeys(path / ERASURE_FILE)
        self.auditors = Auditors(self.erasure)
        self.signer = Signer(name, self.identity, self.wrapping)
        self.ledger_key = Ed25519PrivateKey.generate()
        self.ledger = LedgerPlan(
            str(path / "ledger"), name, f"recgate/{name}/00", self.ledger_key.private_bytes_raw(), bytes(32)
        )
        self.trust = Trust([(name, public_bytes(self.identity))])
        self.sealer = self.new_sealer()

    def new_sealer(self, store=None) -> Sealer:
        """A worker's memory starts empty: chains of an older one are lost."""
        note = lambda event, facts: self.notes.append((event, dict(facts)))  # noqa: E731
        sealer = Sealer(self.journals, self.signer, store or self.store, NoIndexer(), note, self.auditors)
        sealer.leaves = Leaves(self.ledger, self.journals)
        return sealer

    def open(self, **more):
        session = new_session_id()
        journal = Journal.create(self.journals, session, self.wrapping, synced=False)
        self.parts[session] = []
        journal.on_part = self.parts[session].append

        opened = {"session": session, "user": "alice", "protocol": "tiny", "started": time.time_ns()}
        journal.append(GATEWAY, "opened", cbor2.dumps(opened | {"policy": "00" * 32} | more, canonical=True))
        return session, journal

    def seal(self, session, journal, end=None):
        """Seal what is complete; with `end`, all of it."""
        if end is None:
            journal.rotate()
        else:
            last, preallocated = journal.close(end)
        for part in self.parts[session]:
            self.sealer.seal(Work(session, ((part.number, part.size),)))
        self.parts[session].clear()
        if end is not None:
            self.sealer.seal(Work(session, ((last.number, last.size),), True, preallocated))
            journal.release()

    def record(self, *segments, end=None):
        """Make a recording with one segment for each list of `(side, kind, data)`; gives its id."""
        session, journal = self.open()
        for number, frames in enumerate(segments):
            for side, kind, data in frames:
                journal.append(side, kind, data)
            if number < len(segments) - 1:
                self.seal(session, journal)
        self.seal(session, journal, end or {"reason": "client-closed"})
        return session

    def recover(self, session, reason="the gateway died"):
        self.sealer = self.new_sealer()
        return recover(self.sealer, session, reason)

    def shelf(self, *sessions) -> Shelf:
        shelf = Shelf()
        for session in sessions:
            names = self.store.objects(session)
            shelf.content[session] = {name: self.store.get(session, name) for name in names}
        return shelf
