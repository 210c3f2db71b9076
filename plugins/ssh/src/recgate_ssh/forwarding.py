"""Ports: `ssh -L`, `-D` and `-R`, refused unless the target's options open that very address.

What is allowed is a channel like any other and recorded as one. A connection that the target announces without
the client having asked for its port is refused, as OpenSSH does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from recgate.decisions import Decision
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame, Request
from recgate_ssh.frames import Kind, body_of, word_frame
from recgate_ssh.lane import Lane
from recgate_ssh.wire.replies import Slot
from recgate_ssh.words import GLOBAL, Value, legible, pack, unpack

if TYPE_CHECKING:
    from recgate_ssh.passage import Passage

__all__ = ["MAX_LISTENERS", "Forwarding"]

MAX_LISTENERS: Final = 64  # ports that one session may have the target listen on


class Forwarding:
    """The forwards of one session."""

    def __init__(self, passage: Passage) -> None:
        self._passage = passage
        self._granted: dict[tuple[str, int], int] = {}  # (host, port listened on): port asked for
        self._lanes = {
            CLIENT: Lane(passage, lambda yes: None),
            UPSTREAM: Lane(passage, lambda yes: None),
        }

    def request_for(self, kind: str, values: Mapping[str, Value], channel: int) -> Request | None:
        """Say what a TCP channel asks for, as policies see it; None if nobody asked for its like."""
        host, port = legible(values["host"]), values["port"]
        assert isinstance(port, int)
        direction = "local"
        if kind == "forwarded-tcpip":
            asked = self._granted.get((host, port))
            if asked is None:
                return None
            direction, port = "remote", asked
        details: dict[str, object] = {
            "direction": direction,
            "host": host,
            "port": port,
            "origin": f"{legible(values['origin_host'])}:{values['origin_port']}",
        }
        return Request("forward", f"{host}:{port}", channel, details)

    def global_request(self, name: str, payload: bytes, slot: Slot | None) -> None:
        """Decide on a client's request to listen, or to stop listening, at the target."""
        client = self._passage.links[CLIENT]
        word = GLOBAL.get(name)
        if word is None or not word.fields:
            self._passage.note(f"refused global request {name[:64]}")
            client.answer_global(slot, False)
            return
        values = unpack(word, payload)
        host, port = legible(values["host"]), values["port"]
        assert isinstance(port, int)
        listens = name == "tcpip-forward"
        if listens and len(self._granted) >= MAX_LISTENERS:
            self._passage.note(f"refused global request {name}: {MAX_LISTENERS} are open")
            client.answer_global(slot, False)
            return
        if not listens and (host, port) not in self._granted:
            client.answer_global(slot, False)
            return
        details: dict[str, object] = {"direction": "remote", "host": host, "port": port}
        request = Request("forward", f"{host}:{port}", 0, details) if listens else None
        body = {"type": name, "reply": slot is not None, **values}
        frame = word_frame(CLIENT, Kind.GLOBAL, body, 0, request)

        def deliver(frame: Frame) -> None:
            def answered(ok: bool, data: bytes) -> None:
                self._answered(slot, listens, host, port, ok, data)

            self._passage.links[UPSTREAM].ask_global(name, pack(word, body_of(frame.data)), answered)

        def deny(_: Decision) -> None:
            client.answer_global(slot, False)

        self._lanes[CLIENT].push(frame, deliver, deny)

    def _answered(
        self, slot: Slot | None, listens: bool, host: str, port: int, ok: bool, data: bytes
    ) -> None:
        bound = int.from_bytes(data[:4], "big") if port == 0 and len(data) >= 4 else port
        if ok and listens:
            self._granted[host, bound] = port
        elif ok:
            self._granted.pop((host, port), None)
        frame = word_frame(UPSTREAM, Kind.REPLY, {"ok": ok, "port": bound}, 0)
        # Said anew from what is recorded: whatever else the target put behind its answer stays here.
        said = bound.to_bytes(4, "big") if ok and port == 0 else b""
        self._lanes[UPSTREAM].push(frame, lambda _: self._passage.links[CLIENT].answer_global(slot, ok, said))
