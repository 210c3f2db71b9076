"""A gateway's recording as a whole: what was appended is sealed, whatever happens on the way."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests import disks
from core.tests.powercuts import PowerCut
from recgate.errors import RecordingFailed
from recgate.ids import new_session_id
from recgate.model import Secret
from recgate.recording import service as service_module
from recgate.recording.limits import SESSION_QUOTA
from recgate.recording.plan import RecordingPlan
from recgate.recording.replay import replay
from recgate.recording.segment import read_segment
from recgate.recording.service import RecordingService
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame
from recgate_store_file.store import FileStore


class Ground:
    """One gateway's directories and keys, which outlive the services on them."""

    def __init__(self, path: Path, trouble: str = "") -> None:
        self.path = path
        self.store = FileStore(path / "recordings")
        self.diary = path / "diary"
        argument = json.dumps({"store": str(self.store.root), "diary": str(self.diary), "trouble": trouble})
        self.plan = RecordingPlan(
            gateway="gate-1",
            root=path / "journal",
            identity=Ed25519PrivateKey.generate(),
            wrapping=Secret(os.urandom(32)),
            backend="recording_backend:build",
            argument=argument.encode(),
            synced=False,
            quota=1 << 30,
        )

    def service(self, **changes):
        return RecordingService(replace(self.plan, **changes), self.store)

    def lines(self, session):
        rows = (
            [json.loads(line) for line in self.diary.read_text().splitlines()] if self.diary.exists() else []
        )
        return [row[1:] for row in rows if row[0] == session]

    def segments(self, session):
        names = [name for name in self.store.objects(session) if name.endswith(".seg")]
        return [read_segment(self.store.get(session, name)) for name in names]

    def frames(self, session):
        return [frame for segment in self.segments(session) for frame in segment.frames()]


@pytest.fixture
def ground(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return Ground(tmp_path)


def opened(session=None, **more):
    facts = {"session": session or new_session_id(), "user": "alice", "protocol": "tiny", "target": "t"}
    return {**facts, "started": time.time_ns(), "policy": "ab" * 32, **more}


async def test_an_appended_session_is_sealed_and_complete(ground):
    async with ground.service() as service:
        service.check()
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"question")
        recorder.append_all([Frame(UPSTREAM, "B", b"answer"), Frame(UPSTREAM, "B", b"more", channel=7)])
        await recorder.close({"reason": "client-closed", "wire": {"client": {"bytes": 10, "frames": 2}}})
        assert recorder.sealed
        assert service.recorders == {}
    (segment,) = ground.segments(recorder.session_id)
    frames = list(segment.frames())
    assert [(f.seq, f.side, f.kind, f.channel, f.data) for f in frames[1:4]] == [
        (1, 0, "F", 0, b"question"),
        (2, 1, "B", 0, b"answer"),
        (3, 1, "B", 7, b"more"),
    ]
    assert [f.kind for f in frames[::4]] == ["opened", "closed"]
    assert [f.t for f in frames] == sorted(f.t for f in frames)
    assert segment.seal.next is None
    assert segment.seal.end.reason == "client-closed"
    assert segment.seal.end.counters["recorded"]["upstream"] == {"frames": 2, "bytes": 10}
    assert segment.seal.end.counters["wire"] == {"client": {"bytes": 10, "frames": 2}}
    assert not (ground.plan.root / recorder.session_id).exists()
    assert ground.lines(recorder.session_id) == [
        ["restore", "alice", 0],
        ["feed", 0, 4],
        ["finish", "sealed", "client-closed", ""],
    ]


async def test_a_long_session_has_a_chain_of_segments(ground):
    async with ground.service() as service:
        recorder = service.open(opened())
        for number in range(40):
            recorder.append(CLIENT, "F", number.to_bytes(2, "big") + os.urandom(100_000))
            while recorder.backlog:
                await service.changed()
        await recorder.close({"reason": "x"})
    segments = ground.segments(recorder.session_id)
    assert [s.seal.segment for s in segments] == [1, 2, 3, 4]
    assert all(b.seal.prev == a.seal_digest for a, b in pairwise(segments))
    assert all(b.signed.verify(a.seal.next) for a, b in pairwise(segments))
    assert [f.seq for f in ground.frames(recorder.session_id)] == list(range(42))
    assert ground.lines(recorder.session_id)[-2:] == [["feed", 34, 41], ["finish", "sealed", "x", ""]]


async def test_a_backlog_is_sealed_in_larger_segments(ground):
    async with ground.service() as service:
        recorder = service.open(opened())
        for _ in range(20):
            recorder.append(CLIENT, "F", os.urandom(1_100_000))
        recorder.append(CLIENT, "F", os.urandom(20_000_000))
        await recorder.close({"reason": "x"})
    sizes = [segment.seal.sides[0][1] for segment in ground.segments(recorder.session_id)]
    assert len(sizes) < 8
    assert max(sizes) == 20_000_000
    assert sum(size > 5_000_000 for size in sizes) >= 3
    assert [f.seq for f in ground.frames(recorder.session_id)] == list(range(23))
    assert not (ground.plan.root / recorder.session_id).exists()


async def test_an_old_part_is_sealed_while_the_session_is_idle(ground, monkeypatch):
    monkeypatch.setattr("recgate.recording.journal._PART_NS", 1)
    monkeypatch.setattr(service_module, "TICK", 0.01)
    async with ground.service() as service:
        recorder = service.open(opened())
        while not ground.segments(recorder.session_id):
            await service.changed()
        assert recorder.backlog == 0
        await recorder.close({"reason": "x"})
    assert len(ground.segments(recorder.session_id)) == 2


async def test_close_is_idempotent_and_ends_appending(ground):
    async with ground.service() as service:
        recorder = service.open(opened())
        await recorder.close({"reason": "x"})
        await recorder.close({"reason": "y"})
        with pytest.raises(RecordingFailed, match="closed"):
            recorder.append(CLIENT, "F", b"late")
        with pytest.raises(RecordingFailed, match="closed"):
            recorder.append_all([Frame(CLIENT, "F", b"late")])
    assert ground.segments(recorder.session_id)[0].seal.end.reason == "x"


async def test_what_the_indexer_does_wrong_costs_the_index_only(tmp_path, monkeypatch, ground):
    ground = Ground(tmp_path / "troubled", "raise")
    async with ground.service() as service:
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"data")
        await recorder.close({"reason": "x"})
        assert recorder.sealed
    assert len(ground.frames(recorder.session_id)) == 3
    problem = "ValueError: the indexer was told to raise"
    assert ground.lines(recorder.session_id)[-1] == ["finish", "sealed", "x", problem]


async def test_the_death_of_the_worker_ends_sessions_it_had_keys_of_and_recovers_them(ground, monkeypatch):
    monkeypatch.setattr(service_module, "RETRY_FIRST", 0.01)
    async with ground.service() as service:
        old, fresh = service.open(opened()), service.open(opened())
        old.append(CLIENT, "F", os.urandom(2_000_000))
        old.append(CLIENT, "F", b"in the next part")
        while old.backlog:
            await service.changed()
        fresh.append(CLIENT, "F", b"never sealed yet")
        os.kill(service._worker.pid, signal.SIGKILL)
        while not old.lost:
            await service.changed()
        with pytest.raises(RecordingFailed, match="key"):
            old.append(CLIENT, "F", b"refused")
        fresh.append(CLIENT, "F", b"goes on")
        await old.close({"reason": "recording"})
        await fresh.close({"reason": "client-closed"})
        assert fresh.sealed
    first, last = ground.segments(old.session_id)
    assert last.seal.recovered.lost == first.seal.next
    assert "sealing process" in last.seal.recovered.reason
    assert last.seal.end.reason == "recording"
    assert next(f.data for f in last.frames()) == b"in the next part"
    assert ground.lines(old.session_id)[-1][:2] == ["finish", "recovered"]
    (whole,) = ground.segments(fresh.session_id)
    assert whole.seal.recovered is None
    assert [f.data for f in whole.frames()][1:3] == [b"never sealed yet", b"goes on"]


async def test_a_journal_that_kills_the_worker_is_left_alone_after_some_tries(tmp_path, ground, monkeypatch):
    monkeypatch.setattr(service_module, "RETRY_FIRST", 0.01)
    monkeypatch.setattr(service_module, "SWEEP", 0.01)
    ground = Ground(tmp_path / "troubled", "die")
    async with ground.service() as service:
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"poison")
        with trio.move_on_after(30) as waiting:
            await recorder.close({"reason": "x"})
        assert not waiting.cancelled_caught
        assert not recorder.sealed
        while service._attempts.get(recorder.session_id, 0) < service_module.MAX_ATTEMPTS:
            await service.swept()
        healthy = service.open(opened())
        await healthy.close({"reason": "x"})
        assert healthy.sealed
    assert (ground.plan.root / recorder.session_id).exists()


async def test_a_store_that_fails_for_a_while_loses_nothing(ground, monkeypatch):
    monkeypatch.setattr(service_module, "RETRY_FIRST", 0.01)
    async with ground.service() as service:
        # A file where the directory belongs fails for root as well.
        ground.store.root.write_bytes(b"")
        with pytest.raises(RecordingFailed, match="recording is mandatory, so no session was opened"):
            service.check()
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"kept")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.close, {"reason": "x"})
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not recorder.sealed
            ground.store.root.unlink()
        assert recorder.sealed
    assert [f.kind for f in ground.frames(recorder.session_id)] == ["opened", "F", "closed"]


async def test_a_backlog_above_the_quota_stops_reading_and_opening(ground, monkeypatch):
    monkeypatch.setattr(service_module, "RETRY_FIRST", 0.01)
    async with ground.service(quota=1_500_000) as service:
        ground.store.root.write_bytes(b"")
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", os.urandom(1_600_000))
        assert not recorder.full
        recorder.append(CLIENT, "F", b"begins the next part")
        assert recorder.full
        monkeypatch.setattr(service.store, "check", lambda: None)
        with pytest.raises(RecordingFailed, match="backlog"):
            service.check()
        ground.store.root.unlink()
        await recorder.room()
        assert not recorder.full
        await recorder.close({"reason": "x"})
        assert recorder.sealed


@pytest.fixture
def small_disk(tmp_path):
    """A file system of eight MiB, of its own."""
    with disks.small_disk(tmp_path / "small", "8m") as place:
        yield place


async def test_a_full_disk_ends_sessions_and_all_that_went_on_is_sealed_when_there_is_space(
    small_disk, monkeypatch, ground
):
    """Journal and store on one disk that fills up."""
    monkeypatch.setattr(service_module, "RETRY_FIRST", 0.01)
    monkeypatch.setattr("recgate.recording.recorder.CLOSE_LIMIT", 0.1)
    ground = Ground(small_disk)
    async with ground.service() as service:
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"forwarded")
        filler = disks.use_up(small_disk)
        accepted = append_until_refused(recorder)
        with pytest.raises(RecordingFailed, match=r"no space left; add|has no space left"):
            service.check()
        await recorder.close({"reason": "recording"})
        assert not recorder.sealed
        filler.unlink()
        while not recorder.sealed:
            await service.changed()
        service.check()
    (segment,) = ground.segments(recorder.session_id)
    frames = list(segment.frames())
    assert [frame.data for frame in frames[1:-1]] == [b"forwarded", *accepted]
    assert segment.seal.end is not None
    assert (frames[-1].kind, segment.seal.end.reason) == ("closed", "recording")
    assert segment.seal.recovered is None


def append_until_refused(recorder):
    """Give what was accepted, and so forwarded."""
    accepted = []
    with pytest.raises(RecordingFailed, match="free or add space"):  # noqa: PT012 - it is the loop that ends so
        while True:
            data = os.urandom(1500)
            recorder.append(CLIENT, "F", data)
            accepted.append(data)
    return accepted


@pytest.mark.parametrize("frames", [0, 1])
async def test_a_session_of_an_instant_is_whole(ground, frames):
    async with ground.service() as service:
        recorders = [service.open(opened()) for _ in range(20)]
        for recorder in recorders:
            for _ in range(frames):
                recorder.append(CLIENT, "F", b"x")
        async with trio.open_nursery() as nursery:
            for recorder in recorders:
                nursery.start_soon(recorder.close, {"reason": "x"})
        assert all(recorder.sealed for recorder in recorders)
    assert all(len(ground.frames(recorder.session_id)) == 2 + frames for recorder in recorders)


@pytest.mark.soak
async def test_memory_stays_flat_over_four_gigabytes(ground):
    """Of the gateway and of its worker, within 32 MiB of what they had after the first hundredth."""
    async with ground.service() as service:
        recorder = service.open(opened())
        block = os.urandom(1 << 20)
        resident: list[tuple[int, int]] = []
        for number in range(4 << 14):
            recorder.append(number % 2, "F", block[number % 1000 : number % 1000 + (1 << 16)])
            if recorder.full:
                await recorder.room()
            if number % 655 == 654:
                await trio.lowlevel.checkpoint()
                resident.append((rss(os.getpid()), rss(service._worker.pid)))
        for first, last in zip(resident[4], resident[-1], strict=True):
            assert last - first < 32 << 20, (resident[4], resident[-1])
        await recorder.close({"reason": "x"})


def rss(pid):
    """Give a process's resident memory in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_synced_frames_are_on_disk_before_they_go_on(ground, monkeypatch, tmp_path):
    ground.plan.root.mkdir()
    disk = PowerCut(ground.plan.root, monkeypatch)
    async with ground.service(synced=True) as service:
        recorder = service.open(opened())
        assert recorder.waits
        recorder.append(CLIENT, "F", b"forwarded")
        await recorder.durable()
        recorder.append(CLIENT, "F", b"not waited for")
        disk.leave(tmp_path / "cut")
        await recorder.close({"reason": "x"})
        assert recorder.sealed
    monkeypatch.undo()
    after = Ground(tmp_path / "after")
    after.plan.root.parent.mkdir()
    (tmp_path / "cut").rename(after.plan.root)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    async with after.service(wrapping=ground.plan.wrapping) as service:
        await service.swept()
    assert [frame.data for frame in after.frames(recorder.session_id)][1:-1] == [b"forwarded"]


async def test_the_directory_of_the_first_journals_survives_a_power_cut_with_them(
    ground, monkeypatch, tmp_path_factory
):
    disk = PowerCut(ground.path, monkeypatch)
    async with ground.service(synced=True) as service:
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"the first")
        await recorder.durable()
        place = disk.leave(tmp_path_factory.mktemp("cut") / "left")
        replay(place / "journal")
        assert (place / "journal" / recorder.session_id / "000001.part").read_bytes()
        await recorder.close({"reason": "client-closed"})


async def test_a_callback_comes_once_it_is_on_disk_or_failed(ground, monkeypatch):
    async with ground.service(synced=True) as service:
        recorder = service.open(opened())
        called = trio.Event()
        recorder.append(CLIENT, "F", b"x")
        recorder.when_durable(called.set)
        assert not called.is_set()
        await called.wait()
        assert recorder.journal.unsettled == 0
        await recorder.close({"reason": "x"})


async def test_a_sealed_session_does_not_come_back_from_the_log(ground, monkeypatch, tmp_path):
    ground.plan.root.mkdir()
    disk = PowerCut(ground.plan.root, monkeypatch)
    async with ground.service(synced=True) as service:
        recorder = service.open(opened())
        await recorder.durable()
        await recorder.close({"reason": "x"})
        with trio.fail_after(10):
            while service._commit._gone or service._commit._rounds:  # noqa: ASYNC110 - nobody says when
                await trio.sleep(0.05)
        place = disk.leave(tmp_path / "cut")
    assert replay(place).sessions == 0
    assert not (place / recorder.session_id).exists()


async def test_a_failed_sync_ends_the_session(ground, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with ground.service(synced=True) as service:
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", b"x")
        with monkeypatch.context() as patch:
            patch.setattr("os.pwrite", broken)
            with pytest.raises(RecordingFailed, match="check the disk"):
                await recorder.durable()
            with pytest.raises(RecordingFailed, match="check the disk"):
                recorder.append(CLIENT, "F", b"y")
            with pytest.raises(RecordingFailed):
                await recorder.close({"reason": "x"})


async def test_two_gateways_do_not_share_a_journal(ground):
    async with ground.service():
        with pytest.raises(RecordingFailed, match="in use by another gateway"):
            async with ground.service():
                raise AssertionError


async def test_a_worker_that_cannot_begin_refuses_the_start(ground):
    with pytest.raises(RecordingFailed, match="no backend today"):
        async with ground.service(backend="recording_backend:raising"):
            raise AssertionError
    async with ground.service():
        pass  # the lock was let go


@pytest.mark.parametrize("session", ["", "../../etc", "a\0b", "x" * 26])
async def test_only_a_session_id_names_a_journal(ground, session):
    async with ground.service() as service:
        with pytest.raises(RecordingFailed, match="session id"):
            service.open(opened() | {"session": session})


@pytest.mark.parametrize(
    ("fact", "what"),
    [
        ({"groups": ["g" * 60] * 2000}, "how many groups"),
        ({"user": "\udc80"}, "cannot be recorded"),
        ({"user": object()}, "cannot be recorded"),
    ],
)
async def test_who_cannot_be_written_down_opens_no_session(ground, fact, what):
    async with ground.service() as service:
        with pytest.raises(RecordingFailed, match=what):
            service.open(opened(**fact))
        assert service.recorders == {}
    assert [name for name in os.listdir(ground.plan.root) if not name.startswith(".")] == []


async def test_an_end_that_says_too_much_is_sealed_in_short(ground):
    async with ground.service() as service:
        recorder = service.open(opened())
        await recorder.close({"reason": "r" * 5000, "exit": "e" * 5000, "wire": {"w" * 5000: 1}})
        assert recorder.sealed
    (segment,) = ground.segments(recorder.session_id)
    assert segment.seal.end is not None
    assert segment.seal.end.reason == "r" * 1000
    assert segment.seal.end.exit is None
    assert list(segment.seal.end.counters) == ["recorded"]
    assert b"e" * 5000 in ground.frames(recorder.session_id)[-1].data


async def test_journals_without_an_owner_count_against_the_quota(ground, monkeypatch):
    monkeypatch.setattr(service_module, "SWEEP", 0.01)
    async with ground.service() as service:
        ground.store.root.write_bytes(b"")
        recorder = service.open(opened())
        recorder.append(CLIENT, "F", bytes(900_000))
        recorder.journal.release()
        del service.recorders[recorder.session_id]
        monkeypatch.setattr(service.store, "check", lambda: None)
        service.check()
    async with ground.service(quota=800_000) as service:
        await service.swept()
        with pytest.raises(RecordingFailed, match="wait for the store"):
            service.check()
        ground.store.root.unlink()
        while service.over:
            await service.swept()
        service.check()


async def test_a_session_may_have_as_much_waiting_as_it_leaves_to_all_others(ground):
    own = SESSION_QUOTA
    async with ground.service(quota=4 * own) as service:
        assert service.share == 4 * own
        for taken, left in ((2 * own, 2 * own), (4 * own - 1, own), (4 * own, 0), (own // 2, 7 * own // 2)):
            service.weigh(taken)
            assert (service.share, service.over) == (left, left == 0)
            service.weigh(-taken)


CHILD = """
import sys, os, json, trio
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from recgate_store_file.store import FileStore
from recgate.model import Secret
from recgate.recording.plan import RecordingPlan
from recgate.recording.service import RecordingService
from recgate.ids import new_session_id

told = json.loads(sys.argv[1])
identity = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(told["identity"]))
plan = RecordingPlan("gate-1", Path(told["root"]), identity,
    Secret(bytes.fromhex(told["wrapping"])), "recording_backend:build", told["argument"].encode(), False, 1 << 30)

async def main():
    async with RecordingService(plan, FileStore(Path(told["store"]))) as service:
        recorder = service.open({"session": told["session"], "user": "bob", "protocol": "tiny", "started": 1})
        number = 0
        while True:
            recorder.append(number % 2, "F", number.to_bytes(4, "big") + b"." * (number * 37 % 9000))
            os.write(1, number.to_bytes(4, "big"))
            number += 1
            if number % 16 == 0:
                await trio.sleep(0)
trio.run(main)
"""


def kill_after(reported, told):
    """Kill a gateway once it has reported so many appends; gives the last number that it did report."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, told], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        seen = child.stdout.read(4 * reported)
    finally:
        child.kill()
        seen += child.stdout.read()
        child.wait()
        child.stdout.close()
    assert len(seen) >= 4 * reported
    return len(seen) // 4 - 1


@pytest.mark.parametrize("reported", [1, 100, 700, 1500])
async def test_every_append_that_returned_survives_kill_9(ground, reported):
    session = new_session_id()
    told = {
        "root": str(ground.plan.root),
        "store": str(ground.store.root),
        "identity": ground.plan.identity.private_bytes_raw().hex(),
        "wrapping": ground.plan.wrapping.reveal().hex(),
        "argument": ground.plan.argument.decode(),
        "session": session,
    }
    last = kill_after(reported, json.dumps(told))
    outcomes = []
    async with ground.service() as service:
        service.recovered = lambda name, outcome: outcomes.append((name, outcome["status"]))
        await service.swept()
    assert outcomes == [(session, "recovered")]
    frames = ground.frames(session)
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    wire = [int.from_bytes(frame.data[:4], "big") for frame in frames if frame.kind == "F"]
    assert wire == list(range(len(wire)))
    assert len(wire) > last
    final = ground.segments(session)[-1].seal
    assert final.recovered.reason == "the gateway stopped without closing the session"
    assert final.end.counters["recorded"]["gateway"]["frames"] == 2
    assert not (ground.plan.root / session).exists()
    lines = ground.lines(session)
    assert lines[-1][:2] == ["finish", "recovered"]
    fed = [row for row in lines if row[0] == "feed"]
    # After the last restore nothing is missing between what was saved and what came next.
    assert fed[-1][2] == len(frames) - 1
