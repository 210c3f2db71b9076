"""A recorded frame: what the journal and the segments hold, and what transcripts are derived from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RecordedFrame"]


@dataclass(slots=True)
class RecordedFrame:
    """One frame as recorded (`recording.md`, CDDL `frame`).

    `seq` is consecutive in the recording, `t` µs since the session opened, `side` 0 client, 1 upstream,
    2 gateway; `data` is wire bytes as forwarded, or CBOR for the gateway's own kinds.
    """

    seq: int
    t: int
    channel: int
    side: int
    kind: str
    data: bytes
    salt: bytes = b""
