"""Sit at a terminal: run a client in a real one, wait for the prompt, type a line, and keep what was shown."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from typing import Final

__all__ = ["COLUMNS", "ROWS", "type_lines"]

COLUMNS: Final = 100
ROWS: Final = 30
CHUNK: Final = 65_536  # bytes of one read
MAX_SHOWN: Final = 1 << 20  # bytes; a demo's shell says far less


def type_lines(
    command: Sequence[str], lines: Sequence[str], prompt: bytes, patience: float, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run `command` in a terminal and type each line once `prompt` has been shown anew.

    Gives the exit status, -1 if it had not ended after `patience` seconds, and all that the terminal showed.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    deadline = time.monotonic() + patience
    shown = bytearray()
    try:
        with subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            start_new_session=True,
            # ssh asks /dev/tty, not its standard input, how wide the window is.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - the demo has one thread
        ) as client:
            os.close(slave)
            try:
                for line in lines:
                    if not _show_until(master, shown, prompt, deadline):
                        break
                    os.write(master, line.encode() + b"\r")
                _show_until(master, shown, None, deadline)
                status = client.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                status = -1
            finally:
                client.kill()
    finally:
        os.close(master)
    return subprocess.CompletedProcess(command, status, shown.decode("utf-8", "replace"), "")


def _show_until(master: int, shown: bytearray, awaited: bytes | None, deadline: float) -> bool:
    """Read until `awaited` is shown, or with None until the terminal closes. Says whether it came to that."""
    start = len(shown)
    while len(shown) < MAX_SHOWN:
        if awaited is not None and awaited in shown[start:]:
            return True
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([master], [], [], left)[0]:
            return False
        data = b""
        with contextlib.suppress(OSError):  # EIO: nobody holds the other end any more
            data = os.read(master, CHUNK)
        if not data:
            return awaited is None
        shown += data
    return False
