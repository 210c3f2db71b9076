"""The checkpoint follows the ledger, and a ledger that cannot be written is said and waited for."""

from __future__ import annotations

import shutil

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import RecordingFailed
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.note import parse_note
from recgate.recording.leaves import LedgerPlan
from recgate.recording.publishing import LedgerPublishing

PATIENCE = 30


@pytest.fixture
def plan(tmp_path):
    key = Ed25519PrivateKey.generate().private_bytes_raw()
    return LedgerPlan(str(tmp_path / "ledger"), "gate-1", "recgate/gate-1/00", key, bytes(32))


def sizes(notes):
    return [parse_checkpoint(parse_note(note).text).size for note in notes]


async def test_a_checkpoint_comes_when_something_changed_and_at_the_end(plan):
    publishing, ledger, notes, came = LedgerPublishing(plan, 0.01), plan.open(), [], trio.Event()

    def published(note):
        notes.append(note)
        came.set()

    publishing.published = published
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publishing.run)
            ledger.append([b"one"])
            await came.wait()
            nursery.cancel_scope.cancel()
    assert sizes(notes) == [2]
    await publishing.finish()
    assert sizes(notes) == [2]  # nothing changed
    ledger.append([b"two"])
    await publishing.finish()
    assert sizes(notes) == [2, 3]


async def test_no_session_is_opened_while_the_ledger_cannot_be_written(plan, tmp_path):
    publishing, ledger = LedgerPublishing(plan), plan.open()
    ledger.append([b"one"])
    await publishing.finish()
    publishing.check()
    shutil.move(tmp_path / "ledger" / "writing", tmp_path / "away")
    await publishing.finish()
    with pytest.raises(RecordingFailed, match=r"Restore it from a backup.*No session was opened"):
        publishing.check()
    shutil.rmtree(tmp_path / "ledger" / "writing")
    shutil.move(tmp_path / "away", tmp_path / "ledger" / "writing")
    await publishing.finish()
    publishing.check()


async def test_a_gateway_without_a_ledger_has_nothing_to_publish():
    publishing = LedgerPublishing(None)
    await publishing.run()
    await publishing.finish()
    publishing.check()
