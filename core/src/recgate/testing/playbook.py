"""Play a script through a relay without any I/O, and get back what happened as a comparable transcript.

A script is a list of `Say(side, bytes)`. Every frame is sent on at once, asks are answered by a function, and
neighbouring frames of one side and kind are joined, so that the same conversation cut differently compares equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from recgate.sansio.asks import NEED_DATA, PAUSED, Ask, Event, PeerClosed, Reply
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Side
from recgate.sansio.relay import Relay

__all__ = ["Played", "Say", "chunked", "play"]


@dataclass(frozen=True, slots=True)
class Say:
    """One side sends bytes; `b""` is EOF."""

    side: Side
    data: bytes


@dataclass(slots=True)
class Played:
    """What came of a script: joined events, the requests, and what each side would have received."""

    events: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    requests: list[str] = field(default_factory=list[str])
    asks: list[Ask] = field(default_factory=list[Ask])
    received: dict[Side, bytes] = field(default_factory=lambda: {CLIENT: b"", UPSTREAM: b""})

    def add(self, frame: Frame) -> None:
        """Join a frame to the one before it where side, kind and channel are the same."""
        if frame.request is not None:
            self.requests.append(f"{frame.request.kind}: {frame.request.text}")
        mine = (frame.side, frame.kind, frame.channel, frame.receiver)
        if self.events and self.events[-1][:4] == mine:
            self.events[-1] = (*mine, bytes(self.events[-1][4]) + frame.data)  # type: ignore[arg-type]
        else:
            self.events.append((*mine, frame.data))


def chunked(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Cut `data` at the given offsets."""
    start = 0
    for cut in cuts:
        if start < cut < len(data):
            yield data[start:cut]
            start = cut
    yield data[start:]


def play(
    relay: Relay,
    script: Sequence[Say],
    answer: Callable[[Ask], Reply],
    cut: Callable[[bytes], Iterable[bytes]] = lambda data: [data],
) -> Played:
    """Play `script`, each piece cut by `cut`. Raises what the relay raises."""
    played = Played()
    for say in script:
        for piece in cut(say.data) if say.data else [b""]:
            relay.receive_data(say.side, piece)
            _settle(relay, answer, played)
    return played


def _settle(relay: Relay, answer: Callable[[Ask], Reply], played: Played) -> None:
    """Take events of both sides until a whole round brings neither an event nor bytes."""
    moved = True
    while moved:
        moved = False
        for side in (CLIENT, UPSTREAM):
            last = False
            while (event := relay.next_event(side)) is not NEED_DATA and event is not PAUSED:
                assert not last, "a frame was marked as the last of its read, and then came more"
                moved = True
                last = isinstance(event, Frame) and event.last
                _take(relay, event, answer, played)
            for receiver in (CLIENT, UPSTREAM):
                data = b"".join(relay.data_to_send(receiver))
                moved = moved or bool(data)
                played.received[receiver] += data


def _take(relay: Relay, event: Event, answer: Callable[[Ask], Reply], played: Played) -> None:
    if isinstance(event, Frame):
        played.add(event)
        relay.send(event)
    elif isinstance(event, PeerClosed):
        played.events.append(("closed", event.side))
    else:
        played.asks.append(event)
        relay.answer(event, answer(event))
