"""What somebody was given today survives a restart, ends at midnight, and is never guessed."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
import trio
import trio.testing

from recgate.model import Principal
from recgate.policy.usage import EVERY, Usage, UsageUnknown

ALICE, BOB = Principal("corp", "1", "alice"), Principal("corp", "2", "bob")
NOON = time.mktime((2026, 11, 24, 12, 0, 0, 0, 0, -1))


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def usage(tmp_path: Path, clock: Clock, gateway: str = "one") -> Usage:
    return Usage(tmp_path / "usage.sqlite3", gateway, clock)


async def test_counters_are_shared_by_a_principals_sessions_and_survive_a_restart(
    tmp_path: Path, clock: Clock
) -> None:
    book = usage(tmp_path, clock)
    tally = await book.tally(ALICE)
    assert await book.tally(ALICE) is tally
    assert (tally.users, (await book.tally(BOB)).rows) == (2, 0)
    tally.rows, tally.bytes, tally.files, tally.changed = 7, 700, 2, True
    tally.statements.add(b"12345678")
    tally.statements.more = 3
    await book.write()
    again = await usage(tmp_path, clock).tally(ALICE)
    assert (again.rows, again.bytes, again.files, len(again.statements)) == (7, 700, 2, 4)
    assert not again.changed


async def test_it_writes_every_second_and_once_more_in_the_end(
    tmp_path: Path, clock: Clock, autojump_clock: trio.testing.MockClock
) -> None:
    book = usage(tmp_path, clock)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.run)
        tally = await book.tally(ALICE)
        tally.rows, tally.changed = 5, True
        while (await usage(tmp_path, clock).tally(ALICE)).rows != 5:
            assert trio.current_time() - started < 60 * EVERY
        tally.rows, tally.changed = 6, True
        nursery.cancel_scope.cancel()
    assert (await usage(tmp_path, clock).tally(ALICE)).rows == 6


async def test_a_cancellation_loses_nothing_that_was_taken_to_be_written(
    tmp_path: Path, clock: Clock
) -> None:
    book = usage(tmp_path, clock)
    tally = await book.tally(ALICE)
    tally.rows, tally.changed = 5, True
    turn = book._lock  # pyright: ignore[reportPrivateUsage]
    await turn.acquire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(book.write)
        await trio.testing.wait_all_tasks_blocked()
        turn.release()
        nursery.cancel_scope.cancel()
    await book.write()
    assert (await usage(tmp_path, clock).tally(ALICE)).rows == 5


async def test_a_day_ends_at_midnight_also_for_sessions_that_go_on(tmp_path: Path, clock: Clock) -> None:
    book = usage(tmp_path, clock)
    tally = await book.tally(ALICE)
    tally.rows, tally.changed = 5, True
    tally.statements.add(b"12345678")
    await book.write()
    clock.now += 86_400
    await book.write()
    assert (tally.rows, len(tally.statements)) == (0, 0)
    tally.rows, tally.changed = 1, True
    await book.write()
    assert (await usage(tmp_path, clock).tally(ALICE)).rows == 1
    clock.now += 3 * 86_400
    await book.write()
    tally.changed = True
    await book.write()
    with sqlite3.connect(tmp_path / "usage.sqlite3") as connection:
        assert connection.execute("SELECT count(*) FROM given").fetchone() == (1,)
    connection.close()


async def test_several_gateways_add_up_and_write_lines_of_their_own(tmp_path: Path, clock: Clock) -> None:
    first, second = usage(tmp_path, clock, "one"), usage(tmp_path, clock, "two")
    tally = await first.tally(ALICE)
    tally.rows, tally.changed = 5, True
    tally.statements.add(b"12345678")
    await first.write()
    other = await second.tally(ALICE)
    other.rows += 2
    other.statements.add(b"12345678")
    other.changed = True
    await second.write()
    whole = await usage(tmp_path, clock, "three").tally(ALICE)
    assert (whole.rows, len(whole.statements)) == (7, 1)


async def test_a_tally_that_nobody_uses_is_dropped_and_found_again(tmp_path: Path, clock: Clock) -> None:
    book = usage(tmp_path, clock)
    tally = await book.tally(ALICE)
    tally.rows, tally.changed = 5, True
    await book.write()
    assert await book.tally(ALICE) is tally
    tally.users -= 2
    await book.write()
    found = await book.tally(ALICE)
    assert found is not tally
    assert (found.rows, found.users) == (5, 1)


async def test_what_cannot_be_told_lets_nobody_in(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "usage.sqlite3").write_text("this is no database at all, and long enough to be seen as none")
    (tmp_path / "usage.sqlite3").chmod(0o600)
    with pytest.raises(UsageUnknown, match="cannot be told") as refused:
        await usage(tmp_path, clock).tally(ALICE)
    assert str(tmp_path) not in str(refused.value)


async def test_what_cannot_be_written_is_kept_and_lets_nobody_new_in(tmp_path: Path, clock: Clock) -> None:
    book = usage(tmp_path, clock)
    tally = await book.tally(ALICE)
    tally.rows, tally.changed = 5, True
    tally.statements.add(b"12345678")
    path = tmp_path / "usage.sqlite3"
    path.chmod(0o644)  # which the book refuses to use
    await book.write()
    with pytest.raises(UsageUnknown):
        await book.tally(BOB)
    assert await book.tally(ALICE) is tally
    path.chmod(0o600)
    await book.write()
    assert (await book.tally(BOB)).rows == 0
    again = await usage(tmp_path, clock).tally(ALICE)
    assert (again.rows, len(again.statements)) == (5, 1)
