"""A cancel key finds its session, and only its own; whoever asks hears nothing."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from recgate.cancelling import deliver_cancel
from recgate.guard import FREE_ATTEMPTS, LoginGuard
from recgate.model import ConnectionInfo
from recgate.sansio.asks import NEED_DATA, PeerClosed
from recgate.sansio.frames import UPSTREAM

KEY = b"\0\0\0\1secret"


class Canceller:
    """Sends one message and waits for the target's silent close."""

    def __init__(self) -> None:
        self.out = [b"CANCEL " + KEY]
        self.eof = False

    def data_to_send(self, side: object) -> list[bytes]:
        out, self.out = self.out, []
        return out

    def next_event(self, side: object) -> object:
        return PeerClosed(UPSTREAM) if self.eof else NEED_DATA

    def receive_data(self, side: object, data: bytes) -> None:
        self.eof = self.eof or not data


class Cancellable:
    def __init__(self, key: bytes) -> None:
        self.cancel_key = key

    def canceller(self) -> Canceller:
        return Canceller()


class Fixture:
    """A door and a gateway with live sessions, as far as cancelling looks."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.notes: list[str] = []
        self.dialled = 0
        self.withdrawn: list[str] = []
        self.holds = False
        self.far: socket.socket | None = None
        self.gateway = SimpleNamespace(
            live={
                "one": self.session("line", Cancellable(KEY)),
                "two": self.session("line", Cancellable(b"")),
                "three": self.session("line", None),
            },
            cancel_guard=LoginGuard(),
            audit=SimpleNamespace(emit=lambda kind, **facts: self.events.append(kind)),
        )
        self.connection = ConnectionInfo("line", "127.0.0.1:1", "10.0.0.1:2")

    def session(self, protocol: str, relay: object) -> SimpleNamespace:
        return SimpleNamespace(
            id="session",
            relay=relay,
            target="target",
            withdraw=lambda why: self.withdrawn.append(why) or self.holds,
            connection=ConnectionInfo(protocol, "127.0.0.1:1", "10.0.0.9:2"),
            record=lambda kind, body: self.notes.append(body["text"]),
        )

    async def dial_for(self, target: object) -> socket.socket:
        self.dialled += 1
        self.far, near = socket.socketpair()
        self.far.shutdown(socket.SHUT_WR)  # the target says nothing and closes
        await trio.lowlevel.checkpoint()
        return near


async def deliver(door: Any, key: bytes) -> None:
    with trio.fail_after(10):
        await deliver_cancel(door, key)


async def test_the_right_key_reaches_its_own_target() -> None:
    door = Fixture()
    await deliver(door, KEY)
    assert door.far is not None
    with door.far:
        assert door.far.recv(100) == b"CANCEL " + KEY
    assert door.events == ["cancel.delivered"]
    assert door.notes == ["cancel requested"]


async def test_what_waits_for_approval_is_withdrawn_and_its_target_hears_nothing() -> None:
    door = Fixture()
    door.holds = True
    await deliver(door, KEY)
    assert door.dialled == 0
    assert door.withdrawn == ["cancelled by the client while it waited for approval"]
    assert door.events == ["cancel.delivered"]


@pytest.mark.parametrize("key", [b"", KEY[:-1], KEY + b"x", b"\0\0\0\1SECRET"])
async def test_any_other_key_reaches_nobody(key: bytes) -> None:
    door = Fixture()
    await deliver(door, key)
    assert door.dialled == 0
    assert door.events == ["cancel.unknown"]


async def test_another_protocols_session_is_not_found() -> None:
    door = Fixture()
    door.connection = ConnectionInfo("other", "127.0.0.1:1", "10.0.0.1:2")
    await deliver(door, KEY)
    assert door.dialled == 0


async def test_threat_7_guessing_keys_is_throttled_by_address() -> None:
    door = Fixture()
    for _ in range(FREE_ATTEMPTS):
        await deliver(door, b"wrong")
    await deliver(door, KEY)
    assert door.events[-1] == "cancel.throttled"
    door.connection = ConnectionInfo("line", "127.0.0.1:1", "10.0.0.2:2")
    await deliver(door, KEY)
    assert door.events[-1] == "cancel.delivered"
    assert door.far is not None
    door.far.close()
