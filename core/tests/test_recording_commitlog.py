"""The commit log's blocks: whole ones in their order, and nothing behind the first that is torn or stale."""

from __future__ import annotations

import os
import random

import pytest

from recgate.recording.commitlog import (
    GONE,
    HEAD,
    PAGE,
    Entry,
    file_name,
    pack_block,
    pack_entry,
    read_blocks,
)

SESSION = bytes(range(16))


def block(number, *data):
    return pack_block(number, [pack_entry(SESSION, 1, 10 * n, each) for n, each in enumerate(data)])


def numbers(data):
    return [each.number for each in read_blocks(data)]


def test_what_is_packed_is_read_and_every_block_has_pages_of_its_own():
    log = (
        block(7, b"one", b"two") + pack_block(8, [pack_entry(SESSION, GONE, 0, b"")]) + block(9, b"x" * PAGE)
    )
    first, mark, large = read_blocks(log + bytes(PAGE))
    assert first.entries == (Entry(SESSION, 1, 0, b"one"), Entry(SESSION, 1, 10, b"two"))
    assert mark.entries == (Entry(SESSION, GONE, 0, b""),)
    assert large.entries[0].data == b"x" * PAGE
    assert len(log) == 4 * PAGE


@pytest.mark.parametrize("at", [0, 5, 9, 20, 3 * PAGE - 1])
def test_a_torn_block_is_the_end(at):
    torn = bytearray(block(2, os.urandom(3 * PAGE - 100)))
    torn[min(at, 8 + 8 + 28 + 3 * PAGE - 101)] ^= 1
    assert numbers(block(1, b"x") + bytes(torn) + block(3, b"y")) == [1]


def test_a_log_that_ends_in_a_block_is_read_up_to_it():
    log = block(1, b"x") + block(2, b"y" * 2 * PAGE)
    for size in range(0, len(log), 97):
        assert (
            numbers(log[:size]) == [1, 2][: (size >= 8 + 8 + 28 + 1) + (size >= PAGE + 8 + 8 + 28 + 2 * PAGE)]
        )


def test_what_an_earlier_filling_left_behind_is_not_read():
    old = b"".join(block(number, b"old") for number in range(5))
    new = block(50, b"new") + block(51, b"new")
    assert numbers(new + old[len(new) :]) == [50, 51]


def test_garbage_is_no_block():
    rng = random.Random(1)
    for size in (0, 1, 7, 8, 100, 5000):
        assert list(read_blocks(rng.randbytes(size))) == []
        assert list(read_blocks(bytes(size))) == []


def test_files_have_the_names_that_the_journal_gives_them():
    assert (file_name(HEAD), file_name(12)) == ("head", "000012.part")
