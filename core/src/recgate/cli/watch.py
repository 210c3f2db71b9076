"""`recgate watch` and `recgate kill`: what is live, through the gateway's control socket, which audits both."""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Iterable, Iterator, Mapping

import click

from recgate.cli.context import json_option, print_json
from recgate.cli.livesocket import ask, live_row
from recgate.cli.recordings import Recordings, nothing
from recgate.cli.terminal import RESTORE
from recgate.errors import RecgateError
from recgate.providers import SessionRow
from recgate.recording.frames import RecordedFrame
from recgate.transcript.neutral import neutralise
from recgate.transcript.reading import as_json as entry_as_json
from recgate.transcript.showing import entry_lines, withheld
from recgate.transcript.terminal import OUTPUT, first_channel, terminal_events
from recgate.transcript.transcribing import SessionTranscriber

__all__ = ["kill", "watch"]


@click.command()
@click.argument("session")
@click.option("--reason", default="", metavar="TEXT", help="Told to the client, and kept in the recording.")
@json_option
def kill(session: str, reason: str, as_json: bool) -> None:
    """End a live session. Exit status 1 if there is no such session."""
    recordings = Recordings()
    row = _live(recordings, session)
    for _ in ask(recordings.config.data_dir, {"do": "kill", "session": row.id, "reason": reason}):
        pass
    if as_json:
        print_json({"session": row.id, "killed": True})
    else:
        click.echo(neutralise(f"ended {row.id}: {row.user} on {row.target}"))


@click.command()
@click.argument("session")
@click.option(
    "--channel", type=int, default=None, metavar="N", help="Of several: the first terminal by default."
)
@json_option
def watch(session: str, channel: int | None, as_json: bool) -> None:
    """Look into a live session until it ends: its terminal as it is, or its entries as they are complete.

    What came before is shown first. ^C ends the watching, not the session.
    """
    recordings = Recordings()
    row = _live(recordings, session)
    lines = ask(recordings.config.data_dir, {"do": "watch", "session": row.id}, endless=True)
    next(lines, None)  # who it is; from here on nothing is missed, so the recording can be read
    frames = joined_frames(recordings.frames(row.id), lines)
    provider = recordings.registry.protocols.get(row.protocol)
    try:
        if provider is not None and provider.view == "terminal" and not as_json:
            _show_terminal(recordings, row, frames, channel)
        else:
            _show_entries(recordings, frames, as_json)
    except KeyboardInterrupt:
        return


def _live(recordings: Recordings, name: str) -> SessionRow:
    """Give the one live session that `name` is or abbreviates."""
    rows = list(map(live_row, ask(recordings.config.data_dir, {"do": "sessions"})))
    found = [row for row in rows if row.id.startswith(name.strip().upper())]
    if not found:
        nothing(f"no live session begins with {name[:64]}; see `recgate sessions --live`")
    if len(found) > 1:
        nothing(f"several live sessions begin with {name[:64]}: {', '.join(row.id for row in found[:5])}")
    return found[0]


def joined_frames(
    recorded: Iterable[RecordedFrame], lines: Iterable[Mapping[str, object]]
) -> Iterator[RecordedFrame]:
    """Give what was recorded and then what comes live, each frame once.

    The watching began before the reading, so the first live frames may be the last recorded ones: their numbers say.
    """
    following = 0
    for frame in recorded:
        following = frame.seq + 1
        yield frame
    for line in lines:
        frame = _frame(line)
        if frame.seq >= following:
            yield frame


def _frame(line: Mapping[str, object]) -> RecordedFrame:
    numbers = [line.get(key) for key in ("seq", "t", "channel", "side")]
    seq, t, channel, side = (number if isinstance(number, int) else 0 for number in numbers)
    try:
        data = base64.b64decode(str(line.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        raise RecgateError(
            "the gateway sent a frame that cannot be read; is it of another release?"
        ) from None
    return RecordedFrame(seq, t, channel, side, str(line.get("kind", "")), data)


def _show_terminal(
    recordings: Recordings, row: SessionRow, frames: Iterator[RecordedFrame], channel: int | None
) -> None:
    if channel is None:
        channel = first_channel(lambda: recordings.frames(row.id))[0]
    out = sys.stdout.buffer
    try:
        for event in terminal_events(frames, channel):
            if event.code == OUTPUT:
                out.write(event.data)
                out.flush()
    finally:
        if sys.stdout.isatty():
            out.write(RESTORE + b"\r\n")
            out.flush()


def _show_entries(recordings: Recordings, frames: Iterator[RecordedFrame], as_json: bool) -> None:
    transcriber: SessionTranscriber | None = None
    for frame in frames:
        if transcriber is None:
            transcriber = SessionTranscriber.at(recordings.registry.protocols, frame)
        for entry in map(withheld, transcriber.feed(frame)):
            if as_json:
                print_json(entry_as_json(entry))
                continue
            for line in entry_lines(entry):
                click.echo(line)
