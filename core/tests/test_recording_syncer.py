"""The threads at the disk: what was written before is synced, errors are said, and leaving waits for them."""

from __future__ import annotations

import errno
import os
import threading

import pytest
import trio

from recgate.recording import logfiles
from recgate.recording.limits import LOG_SYNCS
from recgate.recording.logfiles import LogFile
from recgate.recording.syncer import Order, Syncer


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(logfiles, "LOG_BYTES", 64 << 10)
    file = LogFile.create(tmp_path / "1.log")
    yield file
    file.close()


async def come_back(syncer, count):
    came = []
    with trio.fail_after(10):
        while len(came) < count:
            await trio.lowlevel.wait_readable(syncer.descriptor)
            came += syncer.done()
    return came


async def test_orders_come_back_and_make_room_for_others(file):
    orders = [Order(file) for _ in range(LOG_SYNCS)]
    async with Syncer(LOG_SYNCS) as syncer:
        assert syncer.done() == []
        for order in orders:
            syncer.take(order)
        assert syncer.free == 0
        assert set(await come_back(syncer, LOG_SYNCS)) == set(orders)
        assert syncer.free == LOG_SYNCS
    assert [order.error for order in orders] == [None] * LOG_SYNCS


async def test_each_thread_syncs_by_a_descriptor_of_its_own(file, monkeypatch):
    """An error is told once to each descriptor: a second sync by the same would find nothing wrong."""
    met, all_there = [], threading.Barrier(LOG_SYNCS)

    def sync(descriptor):
        met.append(descriptor)
        all_there.wait(10)

    monkeypatch.setattr("os.fdatasync", sync)
    async with Syncer(LOG_SYNCS) as syncer:
        for _ in range(LOG_SYNCS):
            syncer.take(Order(file))
        await come_back(syncer, LOG_SYNCS)
    assert sorted(met) == sorted(file.descriptors[:LOG_SYNCS])
    assert len({os.stat(f"/proc/self/fd/{descriptor}").st_ino for descriptor in met}) == 1
    assert len(set(met)) == LOG_SYNCS


async def test_an_error_is_said_and_the_thread_goes_on(file, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with Syncer(1) as syncer:
        with monkeypatch.context() as patch:
            patch.setattr("os.fdatasync", broken)
            syncer.take(Order(file))
            (bad,) = await come_back(syncer, 1)
        assert bad.error is not None
        assert bad.error.errno == errno.EIO
        syncer.take(Order(file))
        (good,) = await come_back(syncer, 1)
        assert good.error is None


async def test_leaving_waits_for_what_was_taken_also_when_cancelled(file, monkeypatch):
    synced = []
    real = os.fdatasync
    monkeypatch.setattr("os.fdatasync", lambda descriptor: (real(descriptor), synced.append(descriptor)))
    with trio.CancelScope() as scope:
        async with Syncer(1) as syncer:
            syncer.take(Order(file))
            scope.cancel()
    assert len(synced) == 1
