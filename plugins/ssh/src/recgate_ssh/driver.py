"""The SSH driver: one asyncio loop per connection, which holds both of its SSH connections.

One loop each, because an uncaught error in a background task ends its loop and everything on it (law 7). What
happens in which order is here: log in, open the session, reach the target, let channels cross, wind down.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

import structlog
import trio
from pydantic import BaseModel

from recgate.driver import DriverSession
from recgate.errors import (
    AccessDenied,
    AuthenticationFailed,
    RecgateError,
    RecordingFailed,
    UpstreamFailed,
    VaultFailed,
)
from recgate.model import Evidence
from recgate.providers import Challenge
from recgate.sansio.asks import LoggedIn
from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate.session import Session
from recgate.telling import code_of, for_client
from recgate_ssh.hostkeys import known_hosts
from recgate_ssh.options import SshListenerOptions, SshTargetOptions
from recgate_ssh.passage import Leg, Passage
from recgate_ssh.reason import parted
from recgate_ssh.wire.client_leg import ClientLink, Refusal, client_options, host_key_stamp
from recgate_ssh.wire.link import Link
from recgate_ssh.wire.loop import Loop
from recgate_ssh.wire.target_leg import TargetLink, connect, target_options
from recgate_ssh.wire.transport import SocketTransport

__all__ = ["SshDriver"]

log = structlog.get_logger("recgate.ssh")

MISSED_KEEPALIVES: Final = 3
WIND_DOWN: Final = 2.5  # seconds for what is recorded to reach a slow peer once the session is over
TURN_AWAY: Final = 2.0  # seconds for a refused client to ask for the channel that it is told on
LEAVE: Final = 1.0  # seconds for a client whose channels were closed to close the connection itself
LINGER: Final = 0.5  # seconds for a client to read the last words before its socket closes
POLL: Final = 0.02  # seconds between looks while winding down
# The three times above end within the five seconds after which the core cancels a driver whose session was ended.


class SshDriver:
    """Speaks SSH for one listener (`Driver`)."""

    def __init__(self, options: BaseModel) -> None:
        self._options = cast(SshListenerOptions, options)

    async def serve(self, session: DriverSession) -> None:
        """Carry one client through. Cancelled, both connections are aborted and nothing is left running."""
        loop: Loop | None = None
        try:
            async with trio.open_nursery() as nursery:
                visit = Visit(session, self._options, nursery)
                loop = visit.loop
                nursery.start_soon(loop.run)
                try:
                    await visit.run()
                finally:
                    visit.abort()
                    nursery.cancel_scope.cancel()
        finally:
            if loop is not None:
                loop.close()


class Visit:
    """One connection from its first byte to its last (`Doorman`)."""

    def __init__(self, door: DriverSession, options: SshListenerOptions, nursery: trio.Nursery) -> None:
        self._door = door
        self._options = options
        self.loop = Loop(nursery.start_soon, self.asyncio_fault)
        self._nursery = nursery
        self._passage = Passage(self._spawn)
        self._who: LoggedIn | None = None
        self._reason = ""  # why the client says that it is here
        self._arrived = trio.Event()
        self._target_socket: socket.socket | None = None
        self._keeping_alive = False

    def _spawn(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._nursery.start_soon(task)

    def asyncio_fault(self, context: dict[str, Any]) -> None:
        """End this session for an error in its loop that nobody caught."""
        exc = context.get("exception")
        log.error("ssh.fault", peer=self._door.connection.peer, what=context.get("message"), exc_info=exc)
        self._passage.fault(type(exc).__name__ if exc is not None else str(context.get("message")))

    # -- Doorman ---------------------------------------------------------------------------------------

    async def recognises(self, name: str, evidence: Evidence) -> bool:
        """Whether some identity source knows this key."""
        return await self._door.recognises(parted(name)[0], evidence)

    @property
    def vouched(self) -> bool:
        """Whether a tunnel knows who this is."""
        return self._door.connection.voucher is not None

    async def admit(self, name: str, evidence: Evidence) -> LoggedIn | Refusal:
        """Whom the proof logs in."""
        try:
            login, self._reason = parted(name)
            return await self._door.login(login, evidence)
        except AuthenticationFailed as exc:
            return Refusal(exc.tell)

    async def challenge(self, name: str) -> Challenge | Refusal | None:
        """A sign-in elsewhere, where the listener shows it and a source offers it."""
        if self._options.keyboard_interactive != "code":
            return None
        try:
            return await self._door.challenge(parted(name)[0])
        except AuthenticationFailed as exc:
            return Refusal(exc.tell)

    async def answered(self, name: str, challenge: Challenge) -> LoggedIn | Refusal:
        """Whom the sign-in elsewhere logs in."""
        try:
            login, self._reason = parted(name)
            return await self._door.answered(login, challenge)
        except AuthenticationFailed as exc:
            return Refusal(exc.tell)

    def authenticated(self, who: LoggedIn) -> None:
        """The client is in."""
        self._who = who
        self._arrived.set()

    # -- the course of things ----------------------------------------------------------------------------

    async def run(self) -> None:
        """From the first byte to the last."""
        passage = self._passage
        client = self._meet_client()
        await self._first(self._arrived, passage.over)
        if self._who is None:
            client.farewell("")
            return
        try:
            reached = await self._unless_over(self._reach_target)
        except (AccessDenied, VaultFailed, UpstreamFailed, RecordingFailed) as exc:
            await self._turn_away(f"{code_of(exc)}: {exc}", for_client(exc))
            return
        if reached:
            passage.go()
            if not self._keeping_alive:
                self._spawn(self._keep_alive)
            await passage.over.wait()
        await self._wind_down()

    def _meet_client(self) -> ClientLink:
        door, sock = self._door, self._door.client
        options = client_options(door.data_dir, host_key_stamp(door.data_dir))
        leg = Leg(self._passage, CLIENT)
        link = ClientLink(self.loop, options, leg, self, door.connection.peer_host)
        self._passage.links[CLIENT] = link
        self._spawn(SocketTransport(sock, link, self._spawn).run)
        return link

    async def _first(self, *events: trio.Event) -> None:
        async with trio.open_nursery() as nursery:

            async def wait(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            for event in events:
                nursery.start_soon(wait, event)

    async def _unless_over(self, step: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Do a step of the beginning, giving up when the client leaves or the session is ended; True if done."""
        failed: list[RecgateError] = []
        done = False
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await self._passage.over.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            try:
                await step()
                done = True
            except RecgateError as exc:
                # Carried out of the nursery, which would wrap it in a group.
                failed.append(exc)
            nursery.cancel_scope.cancel()
        if failed:
            raise failed[0]
        return done

    async def _reach_target(self) -> None:
        door, who = self._door, self._who
        assert who is not None
        client = self._passage.links[CLIENT]
        details = {"client": client.facts["version"], "cipher": client.facts["cipher"]}
        if self._reason:
            details["reason"] = self._reason
        session = await door.open(who, details, self._told)
        self._passage.opened(session)
        options = session.target.options
        assert isinstance(options, SshTargetOptions)
        known = await known_hosts(options)
        username = options.username or session.credential.username or session.principal.name
        self._target_socket = await door.dial()
        with trio.move_on_after(options.connect_timeout) as scope:
            await self._log_in(session, username, known, self._target_socket)
        if scope.cancelled_caught:
            raise UpstreamFailed(f"{session.target.name} did not finish its SSH handshake in time")

    def _told(self, text: str) -> None:
        """Somebody must approve the session: say so on its channels, and notice a client that is gone meanwhile."""
        session = self._door.session
        assert session is not None
        self._passage.held(session, text)
        self._keeping_alive = True
        self._spawn(self._keep_alive)

    async def _log_in(self, session: Session, username: str, known: bytes, sock: socket.socket) -> None:
        info = session.target
        try:
            settings = target_options(info.host, info.port, session.credential, username, known)
        except ValueError as exc:
            raise UpstreamFailed(f"{info.name}: {exc}") from None
        link = TargetLink(self.loop, settings, Leg(self._passage, UPSTREAM), info.name)
        # Known before it is logged in: sshd's next message (its host keys) comes with its consent, in one read.
        self._passage.links[UPSTREAM] = link
        await connect(link, sock, self._spawn)

    # -- while it lives --------------------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        """Ask a peer that has been silent whether it is there; after some silence more it counts as gone."""
        missed = {CLIENT: 0, UPSTREAM: 0}
        while not self._passage.over.is_set():
            await trio.sleep(self._options.keepalive)
            for side, link in self._passage.links.items():
                if link.heard_since():
                    missed[side] = 0
                    continue
                missed[side] += 1
                if missed[side] > MISSED_KEEPALIVES:
                    self._passage.lost(side, "no answer to keep-alives")
                link.ask_global("keepalive@openssh.com", b"", lambda ok, data: None)

    # -- the end ---------------------------------------------------------------------------------------

    async def _turn_away(self, why: str, reason: str) -> None:
        """Tell the client `reason` on its first channel, or if it opens none (`ssh -N`) as the reason of the end.

        `why` is the whole of it, for the recording and the audit trail.
        """
        passage = self._passage
        passage.refuse(reason)
        self._door.ended(why, **self._exit())
        with trio.move_on_after(TURN_AWAY):
            await self._first(passage.turned_away, passage.over)
        await self._part(reason, told=passage.turned_away.is_set())

    async def _wind_down(self) -> None:
        """Say why it ends to whom can still hear it, let what is recorded reach its receiver, and close."""
        passage = self._passage
        reason = passage.end.reason if passage.end is not None else passage.end_reason
        client = passage.links[CLIENT]
        told = (passage.told or bool(passage.bridges)) and not passage.stopped
        if client.up and told:
            for bridge in list(passage.bridges.values()):
                bridge.end_with(reason)
        self._door.ended(passage.end_reason, **self._exit())
        with trio.move_on_after(WIND_DOWN):
            while not passage.stopped and not (passage.idle and self._flushed()):  # noqa: ASYNC110 - only at the end
                await trio.sleep(POLL)
        await self._part(reason, told=told)

    def _flushed(self) -> bool:
        return all(link.unsent == 0 for link in self._passage.links.values())

    def _exit(self) -> dict[str, object]:
        return {"exit": dict(self._passage.exit)} if self._passage.exit else {}

    async def _part(self, reason: str, *, told: bool) -> None:
        """Close both connections. A client that was told on its channels is first given time to leave by itself.

        OpenSSH's client exits with 255 at a disconnect message, whatever exit status came just before it.
        """
        links = self._passage.links
        target = links.get(UPSTREAM)
        if target is not None:
            target.farewell("")
        client = links[CLIENT]
        if told:
            with trio.move_on_after(LEAVE):
                await self._passage.client_gone.wait()
        if client.up:
            client.farewell(f"recgate: {reason}")
            await self._linger(client)

    async def _linger(self, client: Link) -> None:
        # Closing with unread input resets the connection, and the client would lose what it was told last.
        sock = self._door.client
        with trio.move_on_after(LINGER):
            self.loop.run_ready()
            try:
                sock.shutdown(socket.SHUT_WR)
                while True:
                    await trio.lowlevel.wait_readable(sock)
                    if not sock.recv(65_536):
                        return
            except OSError:
                return

    def abort(self) -> None:
        """Drop both connections. Called in the end, whatever happened."""
        for link in self._passage.links.values():
            link.abort()
        self.loop.run_ready()
        if self._target_socket is not None:
            trio.lowlevel.notify_closing(self._target_socket)
            self._target_socket.close()
