"""Bytes that may be written: to each side in order, until the pump takes them."""

from __future__ import annotations

__all__ = ["Outbox"]


class Outbox:
    """Two queues, emptied by taking the list."""

    __slots__ = ("client", "upstream")

    def __init__(self) -> None:
        self.client: list[bytes] = []
        self.upstream: list[bytes] = []
