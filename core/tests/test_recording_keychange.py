"""Keys change while sessions run: what is open goes on, and what begins has the new ones."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.test_recording_service import Ground, opened
from recgate.errors import RecordingFailed
from recgate.model import Secret
from recgate.recording.cose import key_id, public_bytes
from recgate.recording.journalfiles import head_key, wrapping_id
from recgate.recording.link import SealingWorker
from recgate.recording.seal import read_header
from recgate.sansio.frames import CLIENT

END = {"reason": "client-closed"}


@pytest.fixture
def ground(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    return Ground(tmp_path)


def fresh(ground):
    """The keys of the gateway after both were rotated."""
    ring = Secret(os.urandom(32) + ground.plan.wrapping.reveal())
    return SimpleNamespace(identity=Ed25519PrivateKey.generate(), journals=ring)


def signer(ground, session):
    return read_header(ground.store.get(session, "header.cbor"))[1].key_id


def wrapped_by(ground, session):
    return head_key(ground.plan.root / session)


async def test_what_is_open_goes_on_and_what_begins_has_the_new_keys(ground):
    keys = fresh(ground)
    async with ground.service() as service:
        started, waiting = service.open(opened()), service.open(opened())
        started.append(CLIENT, "F", os.urandom(1_200_000))
        started.rotate_if_due()
        while not ground.store.objects(started.session_id):
            started.append(CLIENT, "F", os.urandom(500_000))
            await service.changed()
        await service.take_keys(keys)
        begun = service.open(opened())
        named = [wrapped_by(ground, each.session_id) for each in (started, waiting, begun)]
        for recorder in (started, waiting, begun):
            recorder.append(CLIENT, "F", b"after")
            await recorder.close(END)
    old, new = ground.plan.wrapping.reveal(), keys.journals.reveal()[:32]
    assert named == [wrapping_id(key) for key in (old, old, new)]
    first, second = key_id(public_bytes(ground.plan.identity)), key_id(public_bytes(keys.identity))
    signers = [signer(ground, each.session_id) for each in (started, waiting, begun)]
    assert signers == [first, second, second]  # a header is signed with the first segment
    assert all(segment.seal.recovered is None for segment in ground.segments(started.session_id))


async def test_a_worker_that_dies_is_followed_by_one_with_the_new_keys(ground):
    keys = fresh(ground)
    async with ground.service() as service:
        await service.take_keys(keys)
        os.kill(service._worker.pid, signal.SIGKILL)
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"after")
        await recorder.close(END)
    assert signer(ground, recorder.session_id) == key_id(public_bytes(keys.identity))


async def test_while_the_worker_cannot_have_the_key_no_session_is_opened_and_journals_begin_under_the_old_one(
    ground, monkeypatch
):
    keys, away = fresh(ground), [True]
    real = SealingWorker.ask

    async def ask(self, request):
        if request["do"] == "keys" and away[0]:
            return {"failed": "hsm: no token is there; put it back", "retry": True}
        return await real(self, request)

    monkeypatch.setattr(SealingWorker, "ask", ask)
    monkeypatch.setattr("recgate.recording.service.PROVE", 0.01)
    async with ground.service() as service:
        with pytest.raises(RecordingFailed, match="no token is there"):
            await service.take_keys(keys)
        with pytest.raises(RecordingFailed, match=r"put it back\. No session was opened"):
            service.check()
        assert service.plan.wraps_with(Secret(ground.plan.wrapping.reveal()))
        away[0] = False
        with trio.fail_after(30):
            while not service.plan.wraps_with(Secret(keys.journals.reveal()[:32])):  # noqa: ASYNC110 - in its own time
                await trio.sleep(0.01)
        service.check()


async def test_a_key_that_rests_elsewhere_is_proven_again_and_again(ground, monkeypatch):
    answers = ["", "hsm: does not answer; see whether it is on", ""]
    real, asked = SealingWorker.ask, []

    async def ask(self, request):
        if request["do"] == "prove":
            asked.append(request)
            return {"failed": answers[0]} if answers[0] else {"done": {}}
        return await real(self, request)

    monkeypatch.setattr(SealingWorker, "ask", ask)
    monkeypatch.setattr("recgate.recording.service.PROVE", 0.01)
    monkeypatch.setattr("recgate.recording.plan.RecordingPlan.kept", lambda plan: True)
    async with ground.service() as service:
        for wanted in ("", "see whether it is on", ""):
            answers[0] = next((each for each in answers[1:] if wanted and wanted in each), "")
            before = len(asked)
            with trio.fail_after(30):
                while len(asked) < before + 2:  # noqa: ASYNC110 - in its own time
                    await trio.sleep(0.01)
            if wanted:
                with pytest.raises(RecordingFailed, match=wanted):
                    service.check()
            else:
                service.check()
