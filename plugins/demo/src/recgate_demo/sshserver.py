"""The SSH target's own process: asyncssh in front of a real login shell, as an account that is not root.

Run as `python -m recgate_demo.sshserver` with a JSON object on the first line of standard input; it prints the
port that it listens on, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, TypeAlias

import asyncssh

from recgate_demo.terminal import Terminal

__all__ = ["Settings", "main", "serve"]

CHUNK: Final = 65_536  # bytes of one read from a pipe
LINGER: Final = 5.0  # seconds that a program gets to end once its client has gone
SHELL: Final = "/bin/bash"
LOGIN_TIMEOUT: Final = 30.0
PATH: Final = "/usr/local/bin:/usr/bin:/bin"
LATE: Final = ("grp", "pwd", "encodings.idna")  # what asyncssh imports only when it needs it
NOT_RUNNABLE: Final = 126  # exit status, as shells use it

Process: TypeAlias = "asyncssh.SSHServerProcess[bytes]"
Settings: TypeAlias = Mapping[str, str]
"""`username`, `home`, `host_key`, `authorized_key` (both in OpenSSH's format), and for root `uid` and `gid`."""


class Doorkeeper(asyncssh.SSHServer):
    """Lets in one account with one key."""

    def __init__(self, username: str, keys: asyncssh.SSHAuthorizedKeys) -> None:
        self._username = username
        self._keys = keys
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember whose keys are to be set."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """Ask everybody for a key; only the one account has any."""
        if username == self._username and self._connection is not None:
            self._connection.set_authorized_keys(self._keys)
        return True


class Files(asyncssh.SFTPServer):
    """The account's files, by the rights that it has."""

    def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        super().__init__(chan)  # pyright: ignore[reportUnknownMemberType] - asyncssh leaves the kind of channel open
        self._to_client = chan

    def exit(self) -> None:
        """Say that it went well: asyncssh leaves the status out, which `scp` takes for a failure."""
        self._to_client.exit(0)


async def serve(settings: Settings) -> asyncssh.SSHAcceptor:
    """Listen on a free port of 127.0.0.1."""
    keys = asyncssh.import_authorized_keys(settings["authorized_key"])

    async def start(process: Process) -> None:
        await _serve_process(process, settings)

    return await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: Doorkeeper(settings["username"], keys),
        server_host_keys=[asyncssh.import_private_key(settings["host_key"])],
        process_factory=start,
        sftp_factory=Files,
        allow_scp=True,
        encoding=None,
        login_timeout=LOGIN_TIMEOUT,
        password_auth=False,
        kbdint_auth=False,
        line_editor=False,
    )


async def _serve_process(process: Process, settings: Settings) -> None:
    command = process.command
    argv = ["-bash"] if command is None else ["bash", "-c", command]
    try:
        if process.term_type:
            status = await _in_terminal(process, argv, _environment(process, settings))
        else:
            status = await _in_pipes(process, argv, _environment(process, settings))
    except OSError as exc:
        process.stderr.write(f"{SHELL}: {exc.strerror}\r\n".encode())
        status = NOT_RUNNABLE
    except (BrokenPipeError, ConnectionError, asyncssh.Error):
        return  # the client has gone; what it ran has been ended
    if status >= 0:
        process.exit(status)
    else:
        process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))


def _environment(process: Process, settings: Settings) -> dict[str, str]:
    from_client = {key: value for key, value in process.env.items() if key == "LANG" or key.startswith("LC_")}
    name, home = settings["username"], settings["home"]
    own = {"USER": name, "LOGNAME": name, "HOME": home, "SHELL": SHELL, "PATH": PATH}
    terminal = {"TERM": process.term_type} if process.term_type else {}
    return {"LANG": "C.UTF-8", **from_client, **own, **terminal}


async def _in_terminal(process: Process, argv: list[str], env: Mapping[str, str]) -> int:
    columns, rows, _, _ = process.term_size
    terminal = await Terminal.run(SHELL, argv, env, (columns or 80, rows or 24))
    typing = asyncio.create_task(_type(process, terminal))
    showing = asyncio.create_task(_show(process, terminal))
    try:
        status = await terminal.process.wait()
        # Something in the background may hold the terminal open; the session is the shell's.
        await _cancel(showing)
        process.stdout.write(terminal.rest())
        await process.stdout.drain()
    finally:
        await _cancel(typing, showing)
        terminal.close()
        await _end(terminal.process)
    return status


async def _type(process: Process, terminal: Terminal) -> None:
    while True:
        try:
            data = await process.stdin.read(CHUNK)
        except asyncssh.TerminalSizeChanged as exc:
            terminal.resize(exc.width, exc.height)
            continue
        except asyncssh.SignalReceived as exc:
            _send_signal(terminal.process, exc.signal)
            continue
        except asyncssh.BreakReceived:
            data = b"\x03"
        if not data:
            # As with OpenSSH's sshd: a terminal has no end of input; it hangs up when its client is gone.
            await process.wait_closed()
            _send_signal(terminal.process, "HUP")
            return
        await terminal.write(data)


async def _show(process: Process, terminal: Terminal) -> None:
    while data := await terminal.read():
        process.stdout.write(data)
        await process.stdout.drain()


async def _in_pipes(process: Process, argv: list[str], env: Mapping[str, str]) -> int:
    pipe = asyncio.subprocess.PIPE
    # In a process group of its own, so that a signal reaches a whole pipeline.
    child = await asyncio.create_subprocess_exec(
        *argv, executable=SHELL, env=dict(env), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    feeding = asyncio.create_task(_feed(process, child, child.stdin))
    outputs = [
        asyncio.create_task(_forward(child.stdout, process.stdout)),
        asyncio.create_task(_forward(child.stderr, process.stderr)),
    ]
    try:
        await asyncio.gather(*outputs)
        return await child.wait()
    finally:
        await _cancel(feeding, *outputs)
        await _end(child)


async def _feed(process: Process, child: asyncio.subprocess.Process, stdin: asyncio.StreamWriter) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a program need not read to the end
        while True:
            try:
                data = await process.stdin.read(CHUNK)
            except asyncssh.SignalReceived as exc:
                _send_signal(child, exc.signal)
                continue
            except asyncssh.BreakReceived:
                continue
            if not data:
                break
            stdin.write(data)
            await stdin.drain()
        stdin.close()
    await process.wait_closed()
    _send_signal(child, "HUP")


async def _forward(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()


def _send_signal(child: asyncio.subprocess.Process, name: str) -> None:
    number = getattr(signal, f"SIG{name}", None)
    if number is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    _send_signal(child, "HUP")
    try:
        await asyncio.wait_for(child.wait(), LINGER)
    except TimeoutError:
        _send_signal(child, "KILL")
        await child.wait()


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception) and not isinstance(result, OSError | asyncssh.Error):
            raise result


def _become(settings: Settings) -> None:
    """Give up root for good. What lies where only root may read, Python's own modules included, is loaded by now."""
    for name in LATE:
        import_module(name)
    if "uid" in settings:
        os.setgroups([])
        os.setgid(int(settings["gid"]))
        os.setuid(int(settings["uid"]))
    os.environ.clear()
    os.umask(0o022)
    # sftp resolves relative names against it.
    os.chdir(Path(settings["home"]))


async def _run(settings: Settings) -> None:
    acceptor = await serve(settings)
    _become(settings)
    sys.stdout.write(f"{acceptor.get_port()}\n")
    sys.stdout.flush()
    # Whoever started this holds the other end of standard input.
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(0, lambda: None if os.read(0, CHUNK) else ended.set())
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    acceptor.close()


def main() -> None:
    """Read the settings, become the account, serve."""
    settings: Settings = json.loads(sys.stdin.readline())
    asyncio.run(_run(settings))


if __name__ == "__main__":
    main()
