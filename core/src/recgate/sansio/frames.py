"""The unit that is decided on, recorded and forwarded: bytes with a side, a channel and perhaps a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["CLIENT", "GATEWAY", "UPSTREAM", "Frame", "Request", "Side"]


class Side(IntEnum):
    """Where bytes come from. The numbers are those of the recording's `side` field."""

    CLIENT = 0
    UPSTREAM = 1
    GATEWAY = 2


CLIENT, UPSTREAM, GATEWAY = Side.CLIENT, Side.UPSTREAM, Side.GATEWAY


@dataclass(frozen=True, slots=True)
class Request:
    """What a frame asks for, as policy sees it.

    `kind` is a word that policies know (`session`, `sql`, `shell`, `file`, `forward`, and for channels that
    need an allow of their own `agent`, `x11`, `replication`); `text` is the statement, command or path as
    the client wrote it; `details` holds what else the protocol knows (bind values, path, direction, host).
    """

    kind: str
    text: str
    channel: int = 0
    details: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(slots=True)
class Frame:
    """Forwardable protocol bytes. Not frozen: it is made once per read on the hot path (89 ns against 230).

    `side` is who speaks. CLIENT frames go upstream and UPSTREAM frames go to the client; what the gateway
    itself says has side GATEWAY, and then `to` names the receiver. `kind` is the protocol's own word.
    `data` may hold many messages, and a part of one where nothing needs to look inside. `last` is the relay's word
    that until the next read it has nothing more to give of that side: whoever heeds it need not ask. `kept` are values
    that masks removed, beside a `mask` frame that tells of them: they are for the sealed recording, and nobody else's.
    """

    side: Side
    kind: str
    data: bytes
    channel: int = 0
    request: Request | None = None
    to: Side | None = None
    last: bool = field(default=False, compare=False, repr=False)
    kept: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def receiver(self) -> Side:
        """The side that this frame's bytes are written to."""
        if self.to is not None:
            return self.to
        return UPSTREAM if self.side is CLIENT else CLIENT
