"""`recgate replay`: what a session's terminal showed, byte for byte; for other sessions their entries in time."""

from __future__ import annotations

import re
import shutil
import sys
from typing import Final

import click

from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.offline import open_recordings
from recgate.cli.playback import Playback, playback
from recgate.cli.recordings import warn
from recgate.cli.terminal import RESTORE, Keyboard
from recgate.transcript.playing import Pace, Player

__all__ = ["replay"]

_OFFSET: Final = re.compile(
    r"(?:(\d{1,3}):)?(\d{1,4}):(\d{1,2})(?:\.(\d{1,3}))?\Z|(\d{1,9})(?:\.(\d{1,3}))?s?\Z", re.ASCII
)


class Offset(click.ParamType[int]):
    """A place in a recording: `02:31`, `1:02:31`, `151`."""

    name = "mm:ss"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Give µs since the session opened."""
        if isinstance(value, int):
            return value
        match = _OFFSET.match(str(value))
        if match is None:
            self.fail(
                f"{value!r} is no place in a recording; write minutes and seconds, such as 02:31", param, ctx
            )
        hours, minutes, seconds, part, alone, alone_part = match.groups("0")
        whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds) + int(alone)
        return whole * 1_000_000 + int((part if part != "0" else alone_part).ljust(3, "0")) * 1000


@click.command()
@click.argument("session")
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=None, help="Times as fast.  [default: 1]")
@click.option("--at", type=Offset(), default=0, help="Begin here; what was before is played at once.")
@click.option(
    "--idle", type=click.FloatRange(0.0), default=None, metavar="S", help="Pause at most so many seconds."
)
@click.option(
    "--channel", type=int, default=None, metavar="N", help="Of several: the first terminal by default."
)
@elsewhere_options
def replay(
    session: str,
    speed: float | None,
    at: int,
    idle: float | None,
    channel: int | None,
    elsewhere: Elsewhere,
) -> None:
    """Play a session in this terminal, exactly as it was shown.

    Space pauses, the arrow keys go 5 s back and on, + and - change the speed, . is one step, q ends. Into a file or
    pipe everything is written at once, unless --speed is given.
    """
    recordings = open_recordings(elsewhere)
    found = recordings.session(session)
    recordings.looked("replay", found)
    chosen = playback(recordings, found, channel)
    out = sys.stdout.buffer

    def write(data: bytes) -> None:
        out.write(data)
        out.flush()

    if sys.stdin.isatty() and sys.stdout.isatty():
        _say_size(chosen)
        with Keyboard(sys.stdin.fileno()) as keys:
            try:
                Player(chosen.steps, write, keys, speed=speed or 1.0, idle=idle, start=at).play()
            finally:
                write(RESTORE + b"\r\n")
    elif speed is not None:
        Player(chosen.steps, write, Pace(), speed=speed, idle=idle, start=at).play()
    else:
        Player(chosen.steps, write, None).play()


def _say_size(chosen: Playback) -> None:
    """Say it where this terminal is smaller than the recorded one: lines will break elsewhere."""
    if chosen.screen is None:
        return
    here, there = shutil.get_terminal_size(), chosen.screen
    if here.columns < there.cols or here.lines < there.rows:
        warn(f"recorded in {there.cols}x{there.rows}; this terminal is {here.columns}x{here.lines}")
