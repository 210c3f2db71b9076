"""A program in a pseudo-terminal of its own, as a login shell has one: bytes in and out, and window sizes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Mapping, Sequence
from typing import Final

__all__ = ["Terminal"]

_Watch = Callable[[int, Callable[[], None]], object]
_Unwatch = Callable[[int], object]

CHUNK: Final = 32_768  # bytes of one read; what a terminal buffers is far less


class Terminal:
    """A child process with a controlling terminal.

    Cancellation of `read` and `write` loses nothing that was not handed over; `close` hangs the terminal up, which
    ends what still runs in it.
    """

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process = process
        self._master = master

    @classmethod
    async def run(
        cls, program: str, argv: Sequence[str], env: Mapping[str, str], size: tuple[int, int]
    ) -> Terminal:
        """Start `program` in a new terminal of `size` (columns, rows)."""
        master, slave = pty.openpty()
        try:
            _resize(slave, *size)
            os.set_blocking(master, False)
            process = await asyncio.create_subprocess_exec(
                *argv,
                executable=program,
                env=dict(env),
                stdin=slave,
                stdout=slave,
                stderr=slave,
                # Its own session, with this terminal as the controlling one: what job control and Ctrl-C need.
                preexec_fn=lambda: os.login_tty(0),
            )
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        return cls(process, master)

    async def read(self) -> bytes:
        """Give what the program wrote; b"" when the terminal is closed on its side."""
        while True:
            try:
                return os.read(self._master, CHUNK)
            except BlockingIOError:
                await self._ready(
                    asyncio.get_running_loop().add_reader, asyncio.get_running_loop().remove_reader
                )
            except OSError as exc:
                if exc.errno == errno.EIO:  # Linux's way of saying that nobody holds the other end
                    return b""
                raise

    def rest(self) -> bytes:
        """Give what is still there to be read, without waiting."""
        found = bytearray()
        while True:
            try:
                data = os.read(self._master, CHUNK)
            except OSError:  # nothing more now, or never again
                return bytes(found)
            if not data:
                return bytes(found)
            found += data

    async def write(self, data: bytes) -> None:
        """Type `data`."""
        while data:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                await self._ready(
                    asyncio.get_running_loop().add_writer, asyncio.get_running_loop().remove_writer
                )

    def resize(self, columns: int, rows: int) -> None:
        """Set the window's size; the program is told by SIGWINCH."""
        _resize(self._master, columns, rows)

    def close(self) -> None:
        """Hang up."""
        os.close(self._master)

    async def _ready(self, add: _Watch, remove: _Unwatch) -> None:
        woken = asyncio.Event()
        add(self._master, woken.set)
        try:
            await woken.wait()
        finally:
            remove(self._master)


def _resize(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0))
