"""The contract of a relay: a protocol with two sides as a state machine, driven by the core's pump."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from recgate.decisions import Decision
from recgate.sansio.asks import Ask, Denied, Event, NeedData, Paused, Reply
from recgate.sansio.frames import Frame, Side

__all__ = ["Braking", "Cancellable", "Relay"]


class Relay(Protocol):
    """Frames both directions of one connection. No clock, socket, log or trio in it.

    The pump reads a side, calls `receive_data`, and takes events until `NEED_DATA`. Every `Frame` is
    decided on and recorded before it is handed back to `send`; what `data_to_send` then gives is written to
    that side. Handshake and authentication bytes (not recorded, law 1) appear in `data_to_send` without a
    frame. Whatever the peer sends, a relay yields events or raises `RemoteProtocolError`, in bounded
    memory and linear time.
    """

    def receive_data(self, side: Side, data: bytes) -> None:
        """Buffer what was read from `side`; `b""` is EOF. Parses nothing, raises nothing of the peer's."""
        ...

    def next_event(self, side: Side) -> Event | NeedData | Paused:
        """Give the next event of `side`. Raises `RemoteProtocolError` and nothing else.

        A frame may be marked as the `last` before the next read, which saves the pump one call a read.
        """
        ...

    def answer(self, ask: Ask, reply: Reply) -> None:
        """End the pause that `ask` began. Raises `LocalProtocolError` if that ask is not open."""
        ...

    def send(self, frame: Frame) -> None:
        """Let a recorded frame go on: its bytes appear in `data_to_send(frame.receiver)`."""
        ...

    def refuse(self, frame: Frame, decision: Decision) -> Sequence[Frame]:
        """Turn a refused request into what the protocol says instead.

        Gives the frames (side GATEWAY, and the rest of `frame` that was not refused) that the pump records
        and sends in its place: for PostgreSQL a message that always fails upstream, so that order,
        skip-to-Sync and transaction status stay the target's own.
        """
        ...

    def notice(self, text: str) -> Frame | None:
        """Word `text` as something the client shows while it waits (`NOTICE`), or None if it cannot now."""
        ...

    def farewell(self, denied: Denied) -> Frame | bytes | None:
        """Say in the protocol's own words why the connection ends.

        A `Frame` (side GATEWAY) once the recording is open, raw bytes before; None where nothing can be said.
        """
        ...

    def data_to_send(self, side: Side) -> Sequence[bytes]:
        """Take the bytes that may be written to `side` now, in order. Taking empties the queue."""
        ...


class Cancellable(Protocol):
    """What a relay offers besides when its protocol stops a running request from another connection."""

    @property
    def cancel_key(self) -> bytes:
        """The key this session's client was given; `b""` while nothing can be cancelled."""
        ...

    def canceller(self) -> Relay:
        """Make a relay that has only an upstream side, for one fresh connection to this session's target.

        The core dials, writes `data_to_send(UPSTREAM)`, and drives UPSTREAM as for any relay: it
        answers a `StartTls` (with the session's own options and credential), writes what `data_to_send`
        gives, and ends at `PeerClosed`, at `RemoteProtocolError`, or at its own deadline. No frame
        comes of it, and nothing is recorded.
        """
        ...


class Braking(Protocol):
    """What a relay offers besides when it stops in the middle of an answer, where the session has a `brake`.

    It then gives out a frame of the target's with the request that is being answered, right where the brake says that
    this must be judged; `refuse` of that frame ends the answer with an error, and what still comes of it goes nowhere.
    """

    def cancelled(self) -> None:
        """The cancel that followed such a refusal is over, whether or not the target heard of it."""
        ...
