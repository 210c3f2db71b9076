"""The commit log: one file for what all sessions wait for, so that one sync a round serves them all.

    journal/commit-log/1.log      blocks: length, CRC-32C, then the block's number and its entries
                       2.log      an entry: session, file, offset, length, and bytes as they are in that file

It repeats what the journals hold already and only until those are on the disk themselves; after lost power it puts
back what they lack. A log file is filled with zeros once and written over ever after: a sync then has no
metadata to write. A block is the log's end when its checksum fails, or its number does not follow: what
comes behind are torn or stale bytes that nobody was told are on the disk.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from recgate.recording.journalfiles import RECORD_HEAD, crc32c, part_name

__all__ = [
    "GONE",
    "HEAD",
    "LOG_NAME",
    "PAGE",
    "Block",
    "Entry",
    "file_name",
    "pack_block",
    "pack_entry",
    "read_blocks",
]

LOG_NAME: Final = "commit-log"
PAGE: Final = 4096
# Files that are no part: the journal's head, and a mark that the journal is gone for good. Parts count from 1.
HEAD: Final = 0
GONE: Final = 0xFFFF_FFFF
_ENTRY: Final = struct.Struct(">16sIII")  # session, file, offset in it, bytes that follow
_NUMBER: Final = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Entry:
    """Bytes and their place: `file` is a part's number, `HEAD` or `GONE`."""

    session: bytes
    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """What one write put into the log; `number` counts on from block to block and from file to file."""

    number: int
    entries: tuple[Entry, ...]


def pack_entry(session: bytes, file: int, offset: int, data: bytes) -> bytes:
    """Encode one entry."""
    return _ENTRY.pack(session, file, offset, len(data)) + data


def pack_block(number: int, entries: Sequence[bytes]) -> bytes:
    """Encode one block, filled up to whole pages: two of them are at the disk at a time, and each page in one."""
    body = b"".join((_NUMBER.pack(number), *entries))
    padding = -(RECORD_HEAD.size + len(body)) % PAGE
    return b"".join((RECORD_HEAD.pack(len(body), crc32c(body)), body, bytes(padding)))


def read_blocks(data: bytes) -> Iterator[Block]:
    """Give a log file's whole blocks, up to its end."""
    offset, expected = 0, -1
    while offset + RECORD_HEAD.size <= len(data):
        length, crc = RECORD_HEAD.unpack_from(data, offset)
        start = offset + RECORD_HEAD.size
        offset = start + length
        if length < _NUMBER.size or offset > len(data):
            return
        body = data[start:offset]
        (number,) = _NUMBER.unpack_from(body)
        if crc32c(body) != crc or expected not in (-1, number):
            return
        yield Block(number, tuple(_entries(body)))
        expected = number + 1
        offset += -offset % PAGE


def _entries(body: bytes) -> Iterator[Entry]:
    # The checksum held, so this is as it was packed.
    offset = _NUMBER.size
    while offset < len(body):
        session, file, place, length = _ENTRY.unpack_from(body, offset)
        offset += _ENTRY.size
        yield Entry(session, file, place, body[offset : offset + length])
        offset += length


def file_name(number: int) -> str:
    """Give the name of a journal's file by its number in the log."""
    return "head" if number == HEAD else part_name(number)
