"""Read recorded frames back through the transcriber, as the core does: whole, or saved and restored on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from recgate.recording.frames import RecordedFrame
from recgate.testing.fakes import Recorded
from recgate.transcript.entries import Entry
from recgate_ssh.transcript import SshTranscriber

__all__ = ["entries", "recorded"]


def recorded(frames: Iterable[Recorded]) -> list[RecordedFrame]:
    """Number frames as a recording does, a millisecond apart."""
    return [
        RecordedFrame(n, n * 1000, frame.channel, frame.side, frame.kind, frame.data)
        for n, frame in enumerate(frames, 1)
    ]


def entries(frames: Sequence[Recorded], *, restored: bool = False) -> list[Entry]:
    """Give the transcript; with `restored`, through a new transcriber after every frame."""
    transcriber = SshTranscriber()
    found: list[Entry] = []
    for frame in recorded(frames):
        found += transcriber.feed(frame)
        if restored:
            state = transcriber.save()
            assert len(state) <= 64 * 1024
            transcriber = SshTranscriber(state)
    return [*found, *transcriber.finish()]
