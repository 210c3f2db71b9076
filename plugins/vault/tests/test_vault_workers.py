"""Threads of one vault: bounded, never in the way, and nothing that they bring is lost."""

import threading

import pytest
import trio

from recgate.errors import VaultFailed
from recgate_vault.workers import Handover, Workers

PATIENCE = 20.0


async def test_a_result_that_is_taken_is_not_undone():
    undone = []
    workers = Workers("hv", 2, PATIENCE)

    assert await workers.lend(lambda: 7, undone.append) == 7
    assert undone == []


async def test_what_comes_after_nobody_waits_any_more_is_undone():
    go, undone = threading.Event(), threading.Event()

    def work():
        assert go.wait(PATIENCE)
        return 7

    workers = Workers("hv", 2, PATIENCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.lend, work, lambda result: undone.set() if result == 7 else None)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not undone.is_set()
    go.set()
    assert await trio.to_thread.run_sync(undone.wait, PATIENCE)


def test_a_result_between_the_thread_and_the_task_is_undone_once():
    """The thread has finished, and the task was cancelled before it heard of that."""
    undone = []
    handover = Handover(lambda: 7, undone.append)

    handover.run()
    handover.abandon()
    handover.abandon()
    assert undone == [7]


async def test_work_that_fails_leaves_nothing_to_undo():
    undone = []

    def work():
        raise VaultFailed("no")

    with pytest.raises(VaultFailed, match="no"):
        await Workers("hv", 2, PATIENCE).lend(work, undone.append)
    assert undone == []


async def test_hanging_work_is_waited_for_no_longer_than_patience_and_holds_only_its_own_vault():
    """Law 6, and law 7: another vault's threads are its own."""
    go = threading.Event()
    hanging, other = Workers("hv", 2, 0.2), Workers("other", 2, PATIENCE)
    try:
        for _ in range(2):
            with pytest.raises(VaultFailed, match=r"vault hv did not answer within 0\.2 s"):
                await hanging.run(lambda: go.wait(PATIENCE))
        before = threading.active_count()
        with pytest.raises(VaultFailed, match=r"All 2 of its `workers` wait for it"):
            await hanging.run(lambda: go.wait(PATIENCE))
        assert threading.active_count() == before, "a place is given back only when its thread has ended"
        assert await other.run(lambda: 7) == 7
    finally:
        go.set()
