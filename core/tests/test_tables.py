"""Played conversations as lines that compare and print."""

from __future__ import annotations

from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Request
from recgate.testing.playbook import Played
from recgate.testing.tables import table


def test_a_table_has_events_requests_and_what_each_side_got() -> None:
    played = Played()
    played.add(Frame(CLIENT, "line", b"ASK ", request=Request("shell", "it")))
    played.add(Frame(CLIENT, "line", b"it\n"))
    played.received[UPSTREAM] += b"ASK it\n"
    lines = table(played)
    assert len([line for line in lines if line.startswith("event")]) == 1, "neighbours are joined"
    assert "request shell: it" in lines
    assert lines[-2:] == ["client received b''", "upstream received b'ASK it\\n'"]
