"""A protocol of two words, to see what the transcript makes of any protocol: `ask N` begins, `done ROWS` completes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cbor2
from pydantic import BaseModel

from recgate.config import Settings
from recgate.errors import LocalProtocolError
from recgate.hookspecs import hookimpl
from recgate.model import ConnectionInfo
from recgate.providers import ProtocolProvider
from recgate.recording.frames import RecordedFrame
from recgate.sansio.relay import Relay
from recgate.transcript.entries import Entry, Transcriber

Transcription = Callable[[Mapping[str, object], bytes | None, bool], Transcriber]


class Options(Settings):
    """None."""


class TinyTranscriber:
    """Every client line `ask TEXT` is a statement; the target's `done ROWS` ends the oldest, `row A,B` are its rows."""

    def __init__(self, state: bytes | None, rows: bool) -> None:
        self.asked: list[list[Any]] = cbor2.loads(state) if state else []
        self.rows = rows

    def feed(self, frame: RecordedFrame) -> Iterable[Entry]:
        for line in frame.data.decode().splitlines() if frame.kind == "line" else ():
            word, _, rest = line.partition(" ")
            if word == "ask":
                self.asked.append([frame.seq, frame.t, rest])
            elif word == "row" and self.rows:
                n, t, _ = self.asked[0]
                yield Entry(
                    n, t, 1, 0, "rows", {"columns": ["value"], "rows": [[each] for each in rest.split(",")]}
                )
            elif word == "done":
                yield self._entry(rest)
            elif word == "put":
                body = {"path": rest, "direction": "upload"}
                yield Entry(frame.seq, frame.t, 0, 0, "file", body, f"upload {rest}")
            elif word == "crash":
                raise RuntimeError("crashed as asked")

    def _entry(self, rest: str) -> Entry:
        n, t, text = self.asked.pop(0)
        body = {"text": text, "rows": int(rest or 0)}
        return Entry(n, t, 0, 0, "sql", body, text, (("verb", text.split()[0].lower()),))

    def finish(self) -> Iterable[Entry]:
        while self.asked:
            yield self._entry("0")

    def save(self) -> bytes:
        return cbor2.dumps(self.asked)


class TinyTerminalTranscriber:
    """Every client line is a command, and whatever is shown a screen."""

    def feed(self, frame: RecordedFrame) -> Iterable[Entry]:
        text = frame.data.decode("utf-8", "replace")
        if frame.kind == "data" and frame.side == 0 and text.endswith("\r"):
            command = text.strip()
            yield Entry(
                frame.seq, frame.t, 0, frame.channel, "shell", {"command": command, "typed": True}, command
            )
        elif frame.kind == "data" and frame.side == 1:
            plain = text.replace("\x1b[1m", "").replace("\r", "")
            yield Entry(frame.seq, frame.t, 1, frame.channel, "screen", {"text": text}, plain)

    def finish(self) -> Iterable[Entry]:
        return ()

    def save(self) -> bytes:
        return b""


def _no_relay(options: BaseModel, connection: ConnectionInfo) -> Relay:
    raise LocalProtocolError("the tiny protocols are only ever read")


def _provider(name: str, view: str, transcriber: Transcription) -> ProtocolProvider:
    return ProtocolProvider(
        name=name,
        default_port=1,
        target_options=Options,
        listener_options=Options,
        transcriber=transcriber,
        relay=_no_relay,
        view=view,
    )


def tiny(*, broken: bool = False) -> dict[str, ProtocolProvider]:
    """Give the protocols, by name, as a registry does."""

    def transcriber(opened: Mapping[str, object], state: bytes | None, rows: bool) -> TinyTranscriber:
        if broken:
            raise RuntimeError("cannot be made")
        return TinyTranscriber(state, rows)

    return {
        "tiny": _provider("tiny", "sql", transcriber),
        "tinyterm": _provider("tinyterm", "terminal", lambda opened, state, rows: TinyTerminalTranscriber()),
    }


# As a plugin: this module itself, in this process and in the sealing worker.
recgate_api = 1


@hookimpl
def recgate_protocols() -> Iterable[ProtocolProvider]:
    """Give both."""
    return tiny().values()


class Tape:
    """Makes recorded frames, numbered and timed a millisecond apart."""

    def __init__(self, session: str = "01TAPE", **opened: object) -> None:
        self.opened = {
            "session": session,
            "user": "alice",
            "groups": ["dba"],
            "target": "prod-db",
            "protocol": "tiny",
            "source": "10.0.0.7:40112",
            "started": 1_000_000_000_000,
            **opened,
        }
        self.frames: list[RecordedFrame] = []
        self.gateway("opened", self.opened)

    def add(self, side: int, kind: str, data: bytes, channel: int = 0) -> RecordedFrame:
        seq = len(self.frames)
        self.frames.append(RecordedFrame(seq, seq * 1000, channel, side, kind, data))
        return self.frames[-1]

    def gateway(self, kind: str, body: Mapping[str, object]) -> RecordedFrame:
        return self.add(2, kind, cbor2.dumps(body))

    def client(self, text: str) -> RecordedFrame:
        return self.add(0, "line", text.encode())

    def target(self, text: str) -> RecordedFrame:
        return self.add(1, "line", text.encode())
