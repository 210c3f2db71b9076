"""`recgate export`: a recording in a format that other tools read, streamed, and in place only when it is whole."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TextIO, cast

import click

from recgate.cli.bundles import export_bundle
from recgate.cli.casting import cast_lines
from recgate.cli.elsewhere import Elsewhere, elsewhere_options
from recgate.cli.entrynumber import EntryNumber, EntryNumberType
from recgate.cli.offline import open_recordings
from recgate.cli.progress import counted
from recgate.cli.proofs import FramesType
from recgate.cli.resultcsv import write_result
from recgate.errors import RecgateError
from recgate.recording.disclosure import Range, prove
from recgate.transcript.reading import as_json, json_line
from recgate.transcript.showing import withheld

__all__ = ["export"]

FORMATS: Final = ("asciicast", "csv", "jsonl", "proof", "bundle")


@click.command()
@click.argument("session")
@click.option("--format", "shape", type=click.Choice(FORMATS), required=True)
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="Where to; - is standard output.  [default: -]"
)
@click.option("--asciicast-version", type=click.Choice(["2", "3"]), default="2", show_default=True)
@click.option(
    "--channel", type=int, default=None, metavar="N", help="Of several: the first terminal by default."
)
@click.option("--entry", type=EntryNumberType(), help="csv: the statement whose rows are meant.")
@click.option("--frames", type=FramesType(), metavar="12-14,20", help="proof, bundle: the frames to show.")
@click.option("--to", metavar="rgpub1…", help="bundle: hand this auditor the erasure key that reading takes.")
@elsewhere_options
def export(
    session: str,
    shape: str,
    output: str,
    asciicast_version: str,
    channel: int | None,
    entry: EntryNumber | None,
    frames: tuple[Range, ...] | None,
    to: str | None,
    elsewhere: Elsewhere,
) -> None:
    """Write a recording as asciicast (a player's), csv (one result's rows) or jsonl (every entry, rows included).

    A proof shows chosen frames and nothing else: recgate verify FILE --trust trust.json says that they were recorded
    so, in their places, to somebody who has nothing but that file. Numbers of frames are those of entries in `show`.

    A bundle is evidence for somebody outside: the recording, or chosen frames, with all that it takes to verify it but
    the keys to believe, and a page that says what it proves. Erasing the session later does not reach it.

    The file holds what was recorded, escape sequences and all: it is for programs, not for `cat`.
    """
    if channel is not None and shape != "asciicast":
        raise click.UsageError("--channel is for --format asciicast")
    if entry is not None and shape != "csv":
        raise click.UsageError("--entry is for --format csv")
    if shape != "bundle" and (frames is not None) is not (shape == "proof"):
        raise click.UsageError("--format proof and --frames go together")
    if to is not None and shape != "bundle":
        raise click.UsageError("--to is for --format bundle")
    recordings = open_recordings(elsewhere)
    found = recordings.session(session)
    recordings.taken(shape, found)
    if shape == "bundle":
        export_bundle(recordings, elsewhere, found, output, frames or (), to)
        return
    if frames is not None:
        _write_proof(output, prove(recordings.archive, found, frames))
        return
    with _destination(output) as out:
        if shape == "asciicast":
            version = cast("Literal[2, 3]", int(asciicast_version))
            out.writelines(cast_lines(recordings, found, channel, version))
        elif shape == "csv":
            write_result(recordings, found, entry, out)
        else:
            for each in recordings.entries(found, rows=True):
                out.write(json_line(as_json(withheld(each))))


def _write_proof(output: str, proof: bytes) -> None:
    if output == "-":
        sys.stdout.buffer.write(proof)
        return
    try:
        with open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(proof)
    except OSError as exc:
        raise RecgateError(f"{output} cannot be written: {exc.strerror}") from exc


@contextmanager
def _destination(output: str) -> Generator[TextIO]:
    """Give the file to write to. It takes its name when it is whole; what fails or is interrupted leaves nothing."""
    if output == "-":
        yield sys.stdout
        return
    path = Path(output)
    if path.exists() and not path.is_file():
        # A device or a pipe is written to as it is: putting a file in its place would take it away from everybody.
        try:
            with open(path, "w", encoding="utf-8", newline="") as out:
                yield out
        except OSError as exc:
            raise RecgateError(f"{output} cannot be written: {exc.strerror}") from exc
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # A recording is as confidential as what was done in it.
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise RecgateError(
            f"{output} cannot be written: {exc.strerror}; choose another place with -o"
        ) from exc
    try:
        with open(fd, "w", encoding="utf-8", newline="") as file, counted(file) as out:
            yield out
        partial.replace(path)
    except OSError as exc:
        raise RecgateError(f"{output} cannot be written: {exc.strerror}") from exc
    finally:
        partial.unlink(missing_ok=True)
