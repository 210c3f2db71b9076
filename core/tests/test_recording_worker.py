"""The sealing worker as a process: what it is told, what it answers, and when it ends."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core.tests.recordings import Maker
from recgate.recording.messages import pack_message, read_message
from recgate.recording.worker import NICENESS

LIMIT = 30  # seconds that an answer may take on a busy machine


class Worker:
    """A worker at the other end of two pipes."""

    def __init__(self, maker, path, backend="recording_backend:build"):
        told = {"store": str(maker.store.root), "diary": str(path / "diary")}
        self.first = {
            "root": str(maker.journals),
            "gateway": "gate-1",
            "identity": maker.identity.private_bytes_raw(),
            "wrapping": maker.wrapping,
            "backend": backend,
            "argument": json.dumps(told).encode(),
            "erasure": str(maker.journals.parent / "erasure.sqlite3"),
        }
        command = [sys.executable, "-m", "recgate.recording.worker"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )

    def say(self, message):
        assert self.process.stdin is not None
        self.process.stdin.write(pack_message(message))
        self.process.stdin.flush()

    def hear(self):
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], LIMIT)
        assert ready, "the worker does not answer"
        return read_message(self.process.stdout.fileno())

    def ask(self, **request):
        self.say({"id": 7, **request})
        answer = self.hear()
        assert answer is not None
        return answer

    def end(self):
        """Close its input; gives what it had printed besides."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0
        return self.process.stderr.read().decode()


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture
def start(maker, tmp_path):
    workers = []

    def start(**options):
        workers.append(Worker(maker, tmp_path, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.process.kill()
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout, worker.process.stderr):
            pipe.close()


@pytest.fixture
def worker(start):
    worker = start()
    worker.say(worker.first)
    assert worker.hear() == {"ready": True}
    return worker


def test_it_seals_and_recovers_what_it_is_told(maker, worker):
    session, journal = maker.open()
    journal.append(0, "F", b"data")
    assert worker.ask(do="begin", session=session) == {"id": 7, "done": {}}
    part = [journal.part, journal.size]
    done = worker.ask(do="seal", session=session, parts=[part], final=False, preallocated=False)
    assert done["done"]["frames"] == 2
    journal.release()
    assert worker.ask(do="recover", session=session, reason="x")["done"]["status"] == "recovered"
    assert worker.end() == ""


def test_it_is_nicer_than_the_gateway(worker):
    assert (
        os.getpriority(os.PRIO_PROCESS, worker.process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + NICENESS
    )


def test_it_says_whether_to_ask_again(maker, worker):
    session, journal = maker.open()
    part = [journal.part, journal.size + 1]
    request = {"do": "seal", "session": session, "parts": [part], "final": False, "preallocated": False}
    answer = worker.ask(**request)
    assert answer["retry"] is False
    assert "damaged at byte" in answer["failed"]
    maker.store.root.write_bytes(b"")
    answer = worker.ask(**{**request, "parts": [[journal.part, journal.size]]})
    assert answer["retry"] is True
    assert "store-file" in answer["failed"]
    maker.store.root.unlink()
    assert "done" in worker.ask(**{**request, "parts": [[journal.part, journal.size]]})
    journal.release()


@pytest.mark.parametrize(
    "request_",
    [
        {"do": "fly"},
        {"do": "seal"},
        {},
        {"do": "seal", "parts": 5, "final": 1},
        {"do": "begin", "recipients": ["rgpub1x"]},
    ],
)
def test_a_request_that_it_does_not_understand_ends_nothing(maker, worker, request_):
    session, journal = maker.open()
    answer = worker.ask(session=session, **request_)
    assert answer["retry"] is False
    assert worker.ask(do="begin", session=session) == {"id": 7, "done": {}}
    journal.release()


@pytest.mark.parametrize(
    "backend", ["recording_backend:raising", "recording_backend:gone", "no_such_module:x"]
)
def test_it_refuses_to_begin_with_what_does_not_work(start, backend):
    worker = start(backend=backend)
    worker.say(worker.first)
    answer = worker.hear()
    assert answer is not None
    assert list(answer) == ["refused"]
    assert worker.process.wait(LIMIT) == 0


def test_it_ends_when_its_gateway_does_even_before_it_began(start):
    worker = start()
    assert worker.end() == ""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_the_gateways_business(maker, worker, stop):
    worker.process.send_signal(stop)
    session, journal = maker.open()
    assert worker.ask(do="begin", session=session) == {"id": 7, "done": {}}
    journal.release()


def test_what_a_plugin_prints_does_not_garble_messages(start):
    worker = start(backend="recording_backend:printing")
    worker.say(worker.first)
    assert worker.hear() == {"ready": True}
    assert worker.end() == "printed by a plugin\n"


def test_a_second_worker_waits_for_the_first_to_be_gone(worker, start):
    second = start()
    second.say(second.first)
    ready, _, _ = select.select([second.process.stdout], [], [], 0.5)
    assert not ready
    worker.end()
    assert second.hear() == {"ready": True}


def test_a_gateway_that_died_before_it_heard_the_answer_leaves_nothing_in_the_log(start):
    """Killed while its worker seals: what the worker then prints would look like an error of the next gateway."""
    worker = start()
    worker.say(worker.first)
    assert worker.hear() == {"ready": True}
    assert worker.process.stdout is not None
    worker.process.stdout.close()
    worker.say({"id": 1, "do": "begin", "session": "gone"})
    assert worker.process.wait(LIMIT) == 0
    assert worker.end() == ""
