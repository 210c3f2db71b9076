"""What there is to play of a session: a terminal's bytes, or its entries as text where there was no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from recgate.cli.recordings import Recordings, nothing
from recgate.transcript.playing import Step
from recgate.transcript.showing import arranged, entry_lines, joined, withheld
from recgate.transcript.terminal import OUTPUT, Screen, first_channel, terminal_events

__all__ = ["Playback", "playback"]


@dataclass(frozen=True, slots=True)
class Playback:
    """`steps` begins anew at each call. `channel` is 0 and `screen` None where entries are played as text."""

    steps: Callable[[], Iterator[Step]]
    channel: int
    screen: Screen | None


def playback(recordings: Recordings, session: str, channel: int | None) -> Playback:
    """Choose what to play. Ends with status 1 if `channel` is asked for and says nothing."""
    screen = Screen()
    if recordings.view(session) == "terminal":
        first, screen = first_channel(lambda: recordings.frames(session))
        channel = first if channel is None else channel
    elif channel is not None:
        nothing(f"session {session} has no terminal channels; leave --channel away")
    if not channel:
        return Playback(lambda: _entries(recordings, session), 0, None)
    shown = terminal_events(recordings.frames(session), channel)
    if not any(event.code == OUTPUT for event in shown):
        nothing(f"session {session} shows nothing on channel {channel}; see `recgate show {session}`")
    return Playback(lambda: _terminal(recordings, session, channel), channel, screen)


def _terminal(recordings: Recordings, session: str, channel: int) -> Iterator[Step]:
    for event in terminal_events(recordings.frames(session), channel):
        if event.code == OUTPUT:
            yield Step(event.t, event.data)


def _entries(recordings: Recordings, session: str) -> Iterator[Step]:
    at = 0
    for entry in arranged(joined(map(withheld, recordings.entries(session, rows=True)))):
        # An entry stands where it was complete; what came before it must not come after.
        at = max(at, entry.t)
        yield Step(at, "".join(f"{line}\n" for line in entry_lines(entry)).encode())
