"""The vendor kit: relay contracts, playbooks, fakes, and a protocol small enough to learn from."""

from __future__ import annotations

from recgate.testing.playbook import Played, Say, chunked, play
from recgate.testing.tables import table

__all__ = ["Played", "Say", "chunked", "play", "table"]
