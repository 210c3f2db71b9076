"""Played conversations as tables that compare and print well."""

from __future__ import annotations

from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate.testing.playbook import Played

__all__ = ["table"]


def table(played: Played) -> list[str]:
    """One line an event, request or side, so that pytest's diff shows what differs."""
    lines = [f"event {event!r}" for event in played.events]
    lines += [f"request {request}" for request in played.requests]
    lines += [f"ask {type(ask).__name__}" for ask in played.asks]
    lines += [f"{side.name.lower()} received {played.received[side]!r}" for side in (CLIENT, UPSTREAM)]
    return lines
