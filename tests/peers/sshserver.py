"""An SSH server that takes passwords: Debian's sshd could only take those of the machine's own accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh
import trio
import trio_asyncio
from asyncssh.packet import String, UInt32

__all__ = ["PasswordServer"]


class PasswordServer:
    """Runs each command by saying so. With `interactive`, the password is asked for by keyboard-interactive."""

    def __init__(self, host_key: Path, username: str, password: str) -> None:
        self.host_key = host_key
        self.username = username
        self.password = password
        self.interactive = False
        self.port = 0

    @property
    def host_key_line(self) -> str:
        """The line for `host_key:`."""
        return " ".join(self.host_key.with_suffix(".pub").read_text().split()[:2])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio_asyncio.open_loop() as loop:
            loop.set_exception_handler(lambda loop, context: None)
            listen = trio_asyncio.aio_as_trio(asyncssh.listen)
            acceptor = await listen(
                "127.0.0.1",
                0,
                config=None,
                server_factory=lambda: _Server(self),
                server_host_keys=[str(self.host_key)],
                # As OpenSSH's: a global request in one breath with the success of the login.
                send_server_host_keys=True,
                process_factory=_process,
                gss_host=None,
            )
            self.port = acceptor.get_port()
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    acceptor.close()
                    await trio_asyncio.aio_as_trio(acceptor.wait_closed)()


class _Server(asyncssh.SSHServer):
    def __init__(self, server: PasswordServer) -> None:
        self._server = server

    def password_auth_supported(self) -> bool:
        return not self._server.interactive

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._server.username, self._server.password)

    def kbdint_auth_supported(self) -> bool:
        return self._server.interactive

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self.validate_password(username, responses[0])


async def _process(process: Any) -> None:
    user, command = process.get_extra_info("username"), process.command or ""
    if command.startswith("open "):
        # A server may ask its client for channels, too: it says what came of it.
        try:
            await _open(process.channel.get_connection(), command.split()[1])
            process.stdout.write("opened\n")
        except asyncssh.ChannelOpenError as exc:
            process.stdout.write(f"refused {exc.code}\n")
    else:
        process.stdout.write(f"{user} ran {command}\n")
    process.exit(0)


async def _open(connection: Any, kind: str) -> None:
    addresses = String("127.0.0.1"), UInt32(80), String("127.0.0.1"), UInt32(1)
    payload = {"x11": addresses[2:], "forwarded-tcpip": addresses, "direct-tcpip": addresses}.get(kind, ())
    await connection.create_tcp_channel()._open(kind.encode(), *payload)
