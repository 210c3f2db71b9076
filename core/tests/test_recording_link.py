"""The gateway's end of the worker: an answer for every request, or the news that it died, and when."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import trio

from core.tests.recordings import Maker
from recgate.ids import new_session_id
from recgate.recording.link import NotAsked, SealingWorker, WorkerLost, WorkerRefused


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture
def make(maker, tmp_path, monkeypatch):
    """Make workers; what they note and when they go down is in `make.notes` and `make.downs`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    told = {"store": str(maker.store.root), "diary": str(tmp_path / "diary"), "trouble": "raise"}

    def make(backend="recording_backend:build"):
        first = {
            "root": str(maker.journals),
            "gateway": "gate-1",
            "identity": maker.identity.private_bytes_raw(),
            "wrapping": maker.wrapping,
            "backend": backend,
            "argument": json.dumps(told).encode(),
            "erasure": str(maker.journals.parent / "erasure.sqlite3"),
        }
        return SealingWorker(first, lambda *note: make.notes.append(note), lambda: make.downs.append(1))

    make.notes, make.downs = [], []
    return make


async def test_every_request_gets_its_own_answer(maker, make):
    worker = make()
    sessions = [maker.open() for _ in range(20)]
    answers = {}

    async def begin(session):
        answers[session] = await worker.ask({"do": "begin", "session": session})

    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run)
        async with trio.open_nursery() as asking:
            for session, _ in sessions:
                asking.start_soon(begin, session)
            asking.start_soon(begin, new_session_id())
        nursery.cancel_scope.cancel()
    assert sum("done" in answer for answer in answers.values()) == 20
    assert sum("failed" in answer for answer in answers.values()) == 1
    for _, journal in sessions:
        journal.release()
    assert make.downs == [1]
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


async def test_what_the_worker_notes_is_handed_on(maker, make):
    worker = make()
    session, journal = maker.open()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run)
        request = {"do": "seal", "session": session, "parts": [[1, journal.size]]}
        await worker.ask({**request, "final": False, "preallocated": False})
        nursery.cancel_scope.cancel()
    assert make.notes == [
        ("index.failed", {"session": session, "reason": "ValueError: the indexer was told to raise"})
    ]
    journal.release()


async def test_a_worker_that_dies_says_what_it_died_over(make):
    worker = make()
    with pytest.raises(NotAsked):
        await worker.ask({"do": "begin", "session": new_session_id()})
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run)
        os.kill(worker.pid, signal.SIGSTOP)

        async def ask():
            with pytest.raises(WorkerLost):
                await worker.ask({"do": "begin", "session": new_session_id()})

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        os.kill(worker.pid, signal.SIGKILL)
    assert make.downs == [1]
    with pytest.raises(NotAsked):
        await worker.ask({"do": "begin", "session": new_session_id()})


async def test_an_asker_that_gives_up_leaves_the_link_in_order(maker, make):
    worker = make()
    session, journal = maker.open()
    async with trio.open_nursery() as nursery:
        await nursery.start(worker.run)
        with trio.CancelScope() as impatient:
            impatient.cancel()
            await worker.ask({"do": "begin", "session": new_session_id()})
        assert "done" in await worker.ask({"do": "begin", "session": session})
        nursery.cancel_scope.cancel()
    journal.release()


async def test_a_worker_that_cannot_begin_says_why(make):
    worker = make("recording_backend:raising")
    with pytest.raises(ExceptionGroup) as refusal:
        async with trio.open_nursery() as nursery:
            await nursery.start(worker.run)
    assert isinstance(refusal.value.exceptions[0], WorkerRefused)
    assert "no backend today" in str(refusal.value.exceptions[0])
