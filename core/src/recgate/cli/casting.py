"""A session as an asciicast: a terminal's channel with its commands marked, or entries as text for other sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from recgate.cli.playback import playback
from recgate.cli.recordings import Recordings
from recgate.transcript.asciicast import MARKER, CastHead, write_asciicast
from recgate.transcript.neutral import neutralise
from recgate.transcript.terminal import OUTPUT, Event, Screen, terminal_events
from recgate.transcript.transcribing import SessionTranscriber

__all__ = ["cast_lines"]

TEXT_SCREEN = Screen(120, 40)


def cast_lines(
    recordings: Recordings, session: str, channel: int | None, version: Literal[2, 3]
) -> Iterator[str]:
    """Give the lines of the cast, streaming. Ends the command with status 1 if there is nothing to play."""
    chosen = playback(recordings, session, channel)
    row = recordings.row(session)
    head = CastHead(row.started, f"{row.user} on {row.target}, {session}", chosen.screen or TEXT_SCREEN)
    if chosen.screen is None:
        steps = chosen.steps()
        # A player's terminal does not return the carriage by itself.
        events = (Event(step.t, OUTPUT, step.data.replace(b"\n", b"\r\n")) for step in steps)
    else:
        events = _marked(recordings, session, chosen.channel)
    return write_asciicast(head, events, version)


def _marked(recordings: Recordings, session: str, channel: int) -> Iterator[Event]:
    """Give a channel's events, and a marker where a command was entered."""
    transcriber: SessionTranscriber | None = None
    for frame in recordings.frames(session):
        if transcriber is None:
            transcriber = SessionTranscriber.at(recordings.registry.protocols, frame)
        for entry in transcriber.feed(frame):
            command = entry.body.get("command")
            # A whole program's entry comes when it has ended; a marker belongs where a command was entered.
            if entry.kind == "shell" and entry.channel == channel and command and "exit" not in entry.body:
                yield Event(frame.t, MARKER, neutralise(str(command)).encode())
        yield from terminal_events((frame,), channel)
