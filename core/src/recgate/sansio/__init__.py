"""What a relay speaks: sides, frames, asks and a bounded reader, with no I/O, clock or logging in it."""

from __future__ import annotations

from recgate.sansio.asks import (
    NEED_DATA,
    PAUSED,
    Ask,
    Cancel,
    Event,
    Login,
    NeedData,
    Paused,
    PeerClosed,
    Reply,
    Route,
    StartTls,
)
from recgate.sansio.frames import Frame, Request, Side
from recgate.sansio.reader import BoundedReader
from recgate.sansio.relay import Cancellable, Relay

__all__ = [
    "NEED_DATA",
    "PAUSED",
    "Ask",
    "BoundedReader",
    "Cancel",
    "Cancellable",
    "Event",
    "Frame",
    "Login",
    "NeedData",
    "Paused",
    "PeerClosed",
    "Relay",
    "Reply",
    "Request",
    "Route",
    "Side",
    "StartTls",
]
