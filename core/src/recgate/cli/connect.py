"""`recgate connect`: a local port, a unix socket, or this process's own input, whose far end is a target."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final, cast

import click
import trio

from recgate.carrying import Parted, inward, outward
from recgate.cli.context import print_json
from recgate.cli.remote import Denied, RemoteGateway, RemoteTarget, checked_target, gateway_options
from recgate.config.values import is_loopback, parse_bind
from recgate.errors import RecgateError
from recgate.transcript.neutral import neutralise

__all__ = ["connect"]

MAX_CONNECTIONS: Final = 64  # tunnels of one `recgate connect` at a time
BACKLOG: Final = 64
LEAVING: Final = 5.0  # seconds for what `ssh` said last to arrive, once that has gone
NORMAL: Final = 1000  # close code of RFC 6455 §7.4.1: the session ended as sessions do
_POSTGRES_SOCKET: Final = ".s.PGSQL."  # what libpq calls a socket's file, with the port behind it


@click.command()
@click.argument("target")
@click.option(
    "--listen", default="127.0.0.1:0", metavar="ADDRESS", help="Where, on loopback; 0 picks a port."
)
@click.option(
    "--socket", "path", type=click.Path(path_type=Path), metavar="PATH", help="A unix socket (0600) instead."
)
@click.option("--stdio", is_flag=True, help="Standard input and output instead: an OpenSSH ProxyCommand.")
@click.option("--once", is_flag=True, help="End with the first connection.")
@click.option("--json", "as_json", is_flag=True, help="Print where it listens, and the line, as JSON.")
@gateway_options
def connect(
    target: str,
    listen: str,
    path: Path | None,
    stdio: bool,
    once: bool,
    as_json: bool,
    url: str,
    ca: Path | None,
) -> None:
    """Bring TARGET here, over one WebSocket for each connection, with your sign-in in it.

    Programs on this machine that can reach the port go where you may go: where others are signed in too, take
    --socket, which is yours alone.
    """
    gateway = RemoteGateway.of(url, ca)
    checked_target(target)
    if stdio and (path is not None or once):
        raise click.UsageError("--stdio stands alone")
    work = (
        partial(_stdio, gateway, target)
        if stdio
        else partial(_listen, gateway, target, listen, path, once, as_json)
    )
    try:
        good = trio.run(work)
    except* Denied as group:
        click.echo(f"recgate: {_words(group)}", err=True)
        good = False
    except* KeyboardInterrupt:
        good = True  # how it is meant to end
    if not good:
        raise click.exceptions.Exit(1)


def _words(exc: BaseException) -> str:
    if isinstance(exc, BaseExceptionGroup):
        return _words(cast("BaseExceptionGroup[BaseException]", exc).exceptions[0])
    return neutralise(str(exc), lines=True)


# -- one tunnel --------------------------------------------------------------------------------------------


async def _carry(gateway: RemoteGateway, target: str, stream: trio.abc.HalfCloseableStream) -> bool:
    """Carry one connection to its end; says whether the session ended as sessions do. Raises `RecgateError`."""
    try:
        async with gateway.tunnel(target) as messages, trio.open_nursery() as nursery:
            nursery.start_soon(messages.keep_alive)
            async with trio.open_nursery() as both:
                both.start_soon(outward, stream, messages)
                both.start_soon(inward, stream, messages)
            await messages.receive()  # both directions are over: what comes now is the end
    except Parted as parted:
        if parted.code != NORMAL:
            click.echo(f"recgate: {target}: {_words(parted)}", err=True)
        return parted.code == NORMAL
    return True


async def _stdio(gateway: RemoteGateway, target: str) -> bool:
    """Carry this process's own input and output.

    OpenSSH hangs up on its ProxyCommand as it ends, and its last words (RFC 4253 §11.1) are still in the pipe then.
    """
    output, source = trio.lowlevel.FdStream(os.dup(1)), trio.lowlevel.FdStream(os.dup(0))
    async with trio.StapledStream(output, source) as stream, trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGHUP) as hangups:
            nursery.start_soon(_leave, hangups, nursery.cancel_scope)
            good = await _carry(gateway, target, stream)
            nursery.cancel_scope.cancel()
            return good
    return True  # whoever hung up does not ask


async def _leave(hangups: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in hangups:
        scope.deadline = min(scope.deadline, trio.current_time() + LEAVING)


# -- a place to connect to ---------------------------------------------------------------------------------


async def _listen(
    gateway: RemoteGateway, target: str, listen: str, path: Path | None, once: bool, as_json: bool
) -> bool:
    """Listen, say where, and carry whatever connects until interrupted, or once."""
    here = await _target(gateway, target)
    sock = _unix(path) if path is not None else _loopback(listen)
    try:
        with trio.socket.from_stdlib_socket(sock) as listener:
            listener.listen(BACKLOG)
            _say(here, sock, path, as_json)
            return await _accept(gateway, target, listener, once)
    finally:
        if path is not None:
            _remove(path)


async def _accept(gateway: RemoteGateway, target: str, listener: trio.socket.SocketType, once: bool) -> bool:
    room = trio.CapacityLimiter(MAX_CONNECTIONS)
    async with trio.open_nursery() as nursery:
        while True:
            async with room:  # the next waits in the backlog until there is room
                pass
            accepted, _ = await listener.accept()
            stream = trio.SocketStream(accepted)
            if once:
                async with stream:
                    return await _carry(gateway, target, stream)
            nursery.start_soon(_one, gateway, target, stream, room)
    return True


async def _one(
    gateway: RemoteGateway, target: str, stream: trio.SocketStream, room: trio.CapacityLimiter
) -> None:
    """Carry one of several: what ends it ends no other, and the reason is told."""
    async with room, stream:
        try:
            await _carry(gateway, target, stream)
        except RecgateError as exc:
            click.echo(f"recgate: {_words(exc)}", err=True)


async def _target(gateway: RemoteGateway, name: str) -> RemoteTarget:
    """Find the target among what may be opened, so that a no is heard before anything listens."""
    for each in await gateway.targets():
        if each.name == name:
            if each.needs:
                raise Denied(f"{name}: {each.needs}")
            return each
    raise Denied(f'no target "{name}" is open to you: see `recgate targets`')


def _loopback(listen: str) -> socket.socket:
    try:
        bind = parse_bind(listen)
    except ValueError as exc:
        raise RecgateError(f"--listen {listen}: {exc}") from None
    if not is_loopback(bind.host):
        raise RecgateError(
            f"--listen {listen}: whoever reaches it goes where you may go, so it must be on loopback"
        )
    sock = socket.socket(socket.AF_INET6 if ":" in bind.host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return _bound(sock, (bind.host, bind.port), listen)


def _unix(path: Path) -> socket.socket:
    if path.is_socket() and not _answers(path):
        path.unlink()  # of one that was killed
    mask = os.umask(0o177)  # from its first moment nobody else may connect
    try:
        return _bound(socket.socket(socket.AF_UNIX), str(path), str(path))
    finally:
        os.umask(mask)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _bound(sock: socket.socket, address: object, shown: str) -> socket.socket:
    try:
        sock.bind(address)  # pyright: ignore[reportArgumentType]
    except OSError as exc:
        sock.close()
        raise RecgateError(f"{shown}: cannot listen there: {exc.strerror or exc}") from None
    sock.setblocking(False)
    return sock


def _say(target: RemoteTarget, sock: socket.socket, path: Path | None, as_json: bool) -> None:
    """Print the line to type; where it listens goes beside it, for people."""
    if path is None:
        host, port = str(sock.getsockname()[0]), str(sock.getsockname()[1])
        where = f"{host}:{port}"
    else:
        where, host, port = str(path), str(path.absolute().parent), ""
        if path.name.startswith(_POSTGRES_SOCKET):
            port = path.name.removeprefix(_POSTGRES_SOCKET)
    fits = bool(port)  # of sockets only libpq's names can be said in a line
    line = (
        neutralise(target.tunnel.replace("{host}", host).replace("{port}", port), lines=False) if fits else ""
    )
    if as_json:
        print_json({"target": target.name, "listening": where, "line": line})
    else:
        click.echo(f"{target.name} is at {where} until you press Ctrl-C", err=True)
        if line:
            click.echo(line)
    sys.stdout.flush()
