"""Every bound of the recording by name, so that writer, reader and verifier agree on what is too much."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BATCH_BYTES",
    "BLOCK_BYTES",
    "CLOSE_LIMIT",
    "CLOSING_BYTES",
    "JOURNAL_QUOTA",
    "LOG_BLOCK",
    "LOG_BYTES",
    "LOG_FILES",
    "LOG_SYNCS",
    "MAX_BLOCK",
    "MAX_DATA",
    "MAX_EXIT",
    "MAX_ITEM",
    "MAX_OPENED",
    "MAX_REASON",
    "MAX_RECORD",
    "MAX_SEGMENT",
    "MAX_STATE",
    "MIN_FREE",
    "PART_BYTES",
    "PART_SECONDS",
    "SESSION_QUOTA",
]

KIB: Final = 1 << 10
MIB: Final = 1 << 20

# The largest statement that the core lets a client send is 64 MiB; the rest is room for its header.
MAX_DATA: Final = 64 * MIB + 64 * KIB
# A record is one write: at most one frame of that size, or several small ones.
MAX_RECORD: Final = MAX_DATA + 64 * KIB

# A part of the journal becomes a segment; both are what a person waits for when they look at a live session.
PART_BYTES: Final = 1 * MIB
PART_SECONDS: Final = 10

# A segment is one part, or several of a backlog up to this: storing one costs a sync however large it is.
BATCH_BYTES: Final = 8 * MIB

# Frames are collected up to this before compression; one that is larger is a block of its own. Random access
# costs one block, and a reader needs no more memory than one.
BLOCK_BYTES: Final = 64 * KIB
MAX_BLOCK: Final = MAX_DATA + 64 * KIB

# At most a batch, or one part that a large record went over; salts, and zstd of what does not compress, add less
# than the rest.
MAX_SEGMENT: Final = BATCH_BYTES + MAX_RECORD + 8 * MIB
# Header, open and seal are a few hundred bytes; recipients of a later version add some kilobytes each.
MAX_ITEM: Final = 256 * KIB

# The end of a session fits here whatever happens: the space is allocated when the session opens.
CLOSING_BYTES: Final = 4 * KIB

# The first frame's body: a name, a target, a few thousand groups.
MAX_OPENED: Final = 64 * KIB
# Characters of a reason, and bytes of what a protocol adds to the end, that a seal repeats from the last frame.
MAX_REASON: Final = 1_000
MAX_EXIT: Final = 1 * KIB

# A transcriber keeps at most 64 KiB by its contract; more than this is a bug in it and is not stored.
MAX_STATE: Final = 1 * MIB

# What waits for the store on local disk, per session and in all, before sessions stop reading. While little waits
# a session may have more than its own, as much as it leaves to all others: so a transfer of half a gigabyte is not held
# to the pace of compression. The more sessions do so the less each gets, and none gets less than its own.
SESSION_QUOTA: Final = 256 * MIB
JOURNAL_QUOTA: Final = 4 << 30
# A file of the commit log: large enough that its journals are synced seldom, small enough to be read at a start.
LOG_BYTES: Final = 32 * MIB
# As many there are at most: one is filled while the journals of others are synced; one whose journals cannot be
# synced is kept. When all are, nothing more is forwarded.
LOG_FILES: Final = 4
# Syncs of the log at a time where the disk is slow, a thread each: who comes while one runs need not wait for its end.
LOG_SYNCS: Final = 2
# A round is one block of at most this and one journal's share; who finds no room waits for the next.
LOG_BLOCK: Final = 1 * MIB
# Below this no session is opened: its first part and its closing record would not fit.
MIN_FREE: Final = 4 * MIB

# Seconds that the end of a session waits for its seal; later the sweeper seals it.
CLOSE_LIMIT: Final = 30
