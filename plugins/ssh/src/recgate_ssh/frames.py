"""What an SSH recording holds: the frame kinds of this protocol and how each is written.

========  =========================================================================================
kind      data
========  =========================================================================================
open      CBOR {type, …}: a channel was asked for (`session`, `direct-tcpip`, `forwarded-tcpip` with their
          addresses); `confirm` or `failure` {code, reason} of the other side follows on the same channel
request   CBOR {type, reply, …}: `pty-req` {term, cols, rows, width, height, modes}, `env` {name, value}, `shell`,
          `exec` {command}, `subsystem` {name}, `signal` {name}, `break` {ms}, `xon-xoff` {client}
reply     CBOR {ok}: the answer to the oldest request of the other side that wants one
resize    CBOR {cols, rows, width, height, …}: the window changed
data      bytes as they came: what was typed (side 0), what was shown (side 1); one frame a read, never a
          packet's worth cut at a line
ext       bytes of stderr
eof       empty: no more data from that side
exit      CBOR {type: exit-status, status} or {type: exit-signal, signal, core, message, lang}
close     empty: that side closed the channel
global    CBOR {type, reply, host, port} on channel 0: `tcpip-forward`, `cancel-tcpip-forward`; its answer is a
          `reply` {ok, port} on channel 0
========  =========================================================================================

Channels are numbered from 1 in the order in which they were asked for, whatever numbers the two connections use.
Side 2 with one of these kinds is what the gateway said itself (a refusal on stderr, the exit status after it).
Text that is not UTF-8 stands as a byte string. Pure code.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, cast

import cbor2

from recgate.errors import RemoteProtocolError
from recgate.sansio.frames import Frame, Request, Side

__all__ = ["Kind", "body_of", "kind_of", "word_frame"]


class Kind(StrEnum):
    """The frame kinds of SSH."""

    OPEN = "open"
    CONFIRM = "confirm"
    FAILURE = "failure"
    REQUEST = "request"
    REPLY = "reply"
    RESIZE = "resize"
    DATA = "data"
    EXT = "ext"
    EOF = "eof"
    EXIT = "exit"
    CLOSE = "close"
    GLOBAL = "global"


_KINDS: Final = {"window-change": Kind.RESIZE, "exit-status": Kind.EXIT, "exit-signal": Kind.EXIT}


def kind_of(word: str) -> Kind:
    """Give the kind that a channel request is recorded as."""
    return _KINDS.get(word, Kind.REQUEST)


def word_frame(
    side: Side, kind: Kind, body: Mapping[str, object], channel: int, request: Request | None = None
) -> Frame:
    """Make a frame whose data is a CBOR map."""
    return Frame(side, kind.value, cbor2.dumps(body), channel, request)


def body_of(data: bytes) -> dict[str, Any]:
    """Read such a frame's data. Raises `RemoteProtocolError` for anything else, as of a damaged recording."""
    try:
        body: object = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, EOFError, RecursionError) as exc:
        raise RemoteProtocolError(f"not a CBOR map: {type(exc).__name__}") from None
    if not isinstance(body, dict):
        raise RemoteProtocolError("not a CBOR map")
    return cast("dict[str, Any]", body)
