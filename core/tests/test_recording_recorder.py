"""A recorder's own part: what it hands over, when it is full, and how it ends."""

from __future__ import annotations

import pytest
import trio

from recgate.errors import RecordingFailed
from recgate.ids import new_session_id
from recgate.recording.journal import Journal, Part
from recgate.recording.limits import SESSION_QUOTA
from recgate.recording.recorder import Recorder, Unsealed
from recgate.sansio.frames import CLIENT


class Desk:
    """The service's side of a recorder: writes down what it is asked, and does it when the test says so."""

    def __init__(self):
        self.share = SESSION_QUOTA
        self.weight = 0
        self.asked = []
        self.change = trio.Event()

    def weigh(self, added):
        self.weight += added

    def wanted(self, recorder):
        self.asked.append("seal")

    def given_up(self, recorder):
        self.asked.append("recover")
        recorder.ended()

    async def changed(self):
        await self.change.wait()

    async def synced(self, journal):
        self.asked.append("sync")

    def released(self, journal):
        self.asked.append("released")


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def recorder(tmp_path, desk):
    session = new_session_id()
    journal = Journal.create(tmp_path, session, bytes(32), synced=False)
    yield Recorder(session, journal, desk, waits=False)
    journal.release()


def part(number, size):
    return Unsealed(Part(number, size))


def test_a_finished_part_is_handed_over_and_weighed(recorder, desk):
    recorder.append(CLIENT, "F", bytes(1_100_000))
    assert desk.asked == []
    recorder.append(CLIENT, "F", b"next")
    assert desk.asked == ["seal"]
    assert recorder.backlog == desk.weight > 1_100_000
    recorder.took(recorder.next_parts())
    assert recorder.backlog == desk.weight == 0


@pytest.mark.parametrize(
    ("sizes", "taken"),
    [([1], 1), ([1 << 20] * 20, 8), ([70 << 20, 1], 1), ([1, 70 << 20], 1), ([4 << 20, 4 << 20, 1], 2)],
)
def test_a_backlog_becomes_segments_of_bounded_size(recorder, sizes, taken):
    recorder.unsealed.extend(part(number, size) for number, size in enumerate(sizes, 1))
    assert [each.part.number for each in recorder.next_parts()] == list(range(1, taken + 1))


async def test_it_is_full_by_itself_and_with_all_others(recorder, desk):
    assert not recorder.full
    await recorder.room()
    desk.share = 0
    assert recorder.full
    desk.share = SESSION_QUOTA
    recorder.backlog = SESSION_QUOTA - 1
    assert not recorder.full
    recorder.backlog = SESSION_QUOTA
    assert recorder.full
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recorder.room)
        await trio.testing.wait_all_tasks_blocked()
        recorder.backlog = 0
        desk.change.set()


async def test_a_failed_recorder_lets_nobody_wait_for_room(recorder, desk):
    desk.share = 0
    recorder.fail("the chain is lost")
    await recorder.room()
    with pytest.raises(RecordingFailed, match="the chain is lost"):
        recorder.append(CLIENT, "F", b"x")


async def test_a_lost_chain_is_recovered_when_its_session_ends_and_weighs_nothing(recorder, desk):
    recorder.append(CLIENT, "F", bytes(1_100_000))
    recorder.append(CLIENT, "F", b"next")
    recorder.fail("lost")
    recorder.fail("lost again")
    assert desk.weight == 0
    assert desk.asked == ["seal"]
    await recorder.close({"reason": "recording"})
    assert desk.asked == ["seal", "released", "recover"]
    assert not recorder.sealed


async def test_only_a_synced_recorder_waits_for_the_disk(recorder, desk):
    await recorder.durable()
    assert desk.asked == []
    recorder.waits = True
    await recorder.durable()
    assert desk.asked == ["sync"]


async def test_closing_gives_up_after_a_while_and_the_seal_comes_later(recorder, desk, autojump_clock):
    recorder.append(CLIENT, "F", b"x")
    begun = trio.current_time()
    await recorder.close({"reason": "x"})
    assert trio.current_time() - begun == 30
    assert (recorder.sealed, desk.asked) == (False, ["released", "seal"])
    recorder.took(recorder.next_parts())
    assert recorder.sealed
