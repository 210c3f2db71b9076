"""What commands do is put into the audit trail, as what the gateway itself does is."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from recgate.errors import RecgateError

if TYPE_CHECKING:
    from recgate.cli.recordings import Recordings
    from recgate.config import Configuration, JsonlSettings

__all__ = ["admit", "trail_files", "write_line"]


def admit(recordings: Recordings, kind: str, **fields: object) -> None:
    """Append an audit event of `local:<uid>` to every `jsonl` observer's file.

    Raises:
        RecgateError: there is no such observer, or its file cannot be written: then it must not be done.
    """
    files = trail_files(recordings.config)
    if not files:
        raise RecgateError("this is done only where it is audited: configure observers: [{jsonl: {}}]")
    write_line(files, kind, by=f"local:{os.getuid()}", **fields)


def trail_files(config: Configuration) -> Sequence[Path]:
    """Give the files of the audit trail: of every `jsonl` observer, and it may be that there is none."""
    return [
        cast("JsonlSettings", options).path or config.data_dir / "audit.jsonl"
        for options in config.options_of("observers", "jsonl")
    ]


def write_line(files: Sequence[Path], kind: str, **fields: object) -> None:
    """Append an event to the files. Raises `RecgateError`."""
    from recgate.audit import AuditEvent

    line = AuditEvent(kind, time.time(), fields).as_json() + "\n"
    for path in files:
        try:
            # One write to a file opened for appending: lines of two processes never mix.
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)
        except OSError as exc:
            raise RecgateError(f"{path}: {exc.strerror}: this is done only where it is audited") from exc
