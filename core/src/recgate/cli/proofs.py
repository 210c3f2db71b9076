"""Proofs of single frames on the command line: which frames are meant, and what a proof says."""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from recgate.cli.context import print_json
from recgate.errors import RecgateError, RecordingDamaged
from recgate.recording.chain import SIDE_NAMES
from recgate.recording.disclosure import MAX_PROOF, Proven, Range, verify_proof
from recgate.recording.trust import Trust
from recgate.transcript.neutral import neutralise

__all__ = ["FramesType", "are_files", "check_proofs", "shown_frames"]

MAX_SHOWN: Final = 200  # bytes of a frame that are shown to people; --json has all of it
_RANGE: Final = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?\Z", re.ASCII)


class FramesType(click.ParamType[tuple[Range, ...]]):
    """`12-14,20`: frames by their numbers, both ends of a range included."""

    name = "frames"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Range, ...]:
        """Give the ranges."""
        found: list[Range] = []
        for piece in str(value).split(","):
            match = _RANGE.match(piece.strip())
            first, last = (int(match[1]), int(match[2] or match[1])) if match is not None else (1, 0)
            if first > last:
                self.fail(f"{value!r} are no frames; write their numbers, such as 12-14,20", param, ctx)
            found.append((first, last))
        return tuple(found)


def are_files(names: Sequence[str]) -> bool:
    """Say whether files are meant, and not sessions: each has a name that no session has."""
    return bool(names) and all(os.path.isfile(name) for name in names)


def check_proofs(names: Sequence[str], trust: Trust, *, as_json: bool) -> bool:
    """Check proof files and print what they show. Gives whether all of them hold. Raises `RecgateError`."""
    held = True
    for name in names:
        proven = _read(Path(name), trust)
        held &= proven.believed
        if as_json:
            print_json(_facts(name, proven))
        else:
            for line in _lines(name, proven):
                click.echo(neutralise(line))
    return held


def _read(path: Path, trust: Trust) -> Proven:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_PROOF + 1)
    except OSError as exc:
        raise RecgateError(f"{path} cannot be read: {exc.strerror}") from exc
    try:
        return verify_proof(data, trust)
    except RecordingDamaged as exc:
        raise RecgateError(f"{path}: {exc}") from None


def _facts(name: str, proven: Proven) -> dict[str, object]:
    report = proven.report
    return {
        "proof": name,
        "session": report.session,
        "gateway": report.gateway,
        "key": report.key,
        "status": "proven" if proven.believed else str(report.status),
        "problems": [{"where": each.where, "what": each.what} for each in report.problems],
        "opened": proven.wall,
        "frames": shown_frames(proven) if proven.believed else [],
    }


def shown_frames(proven: Proven) -> list[dict[str, object]]:
    """Give the frames of a proof that is believed, as JSON has them."""
    return [
        {
            "seq": frame.seq,
            "t": frame.t,
            "channel": frame.channel,
            "side": frame.side,
            "kind": frame.kind,
            "data": base64.b64encode(frame.data).decode(),
        }
        for frame in proven.frames
    ]


def _lines(name: str, proven: Proven) -> Iterator[str]:
    report = proven.report
    if not proven.believed:
        yield f"{name}: not proven ({report.status})"
        for problem in report.problems:
            yield f"    {problem.where}: {problem.what}"
        return
    yield f"{name}: {len(proven.frames)} frames of session {report.session}, as {report.gateway} recorded them"
    for frame in proven.frames:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime((proven.wall + frame.t * 1000) // 10**9))
        data = frame.data[:MAX_SHOWN]
        more = f" … ({len(frame.data)} bytes)" if len(frame.data) > MAX_SHOWN else ""
        shown = data.decode("utf-8", "backslashreplace")
        yield f"  frame {frame.seq}  {when} UTC  {SIDE_NAMES[frame.side]}  {frame.kind}  {shown!r}{more}"
