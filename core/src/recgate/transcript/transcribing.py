"""The transcript of a whole session: the protocol's entries and the gateway's own, numbered, in one order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import cbor2

from recgate.providers import ProtocolProvider
from recgate.recording.frames import RecordedFrame
from recgate.sansio.frames import GATEWAY
from recgate.transcript.entries import Entry, Transcriber
from recgate.transcript.gatewayframes import GATEWAY_KINDS, gateway_body, gateway_entry

__all__ = ["SessionTranscriber"]

ROWS: Final = "rows"
MAX_NUMBERED: Final = 512  # frames whose entries are still being counted; later ones are long complete


class SessionTranscriber:
    """Wraps the protocol's transcriber, which sees every frame, and adds what the gateway recorded.

    If the protocol's code fails on a frame, or its plugin is not there, the transcript says so once and goes on with
    the gateway's own entries: the recording itself is whole and verifies.
    """

    def __init__(
        self,
        protocols: Mapping[str, ProtocolProvider],
        opened: Mapping[str, object],
        *,
        state: bytes | None = None,
        rows: bool = False,
    ) -> None:
        inner: bytes | None = None
        self._parts: dict[tuple[int, str], int] = {}
        self._failure = ""
        if state is not None:
            inner, failure, parts = cast("tuple[bytes | None, str, list[list[object]]]", cbor2.loads(state))
            self._failure = failure
            self._parts = {
                (cast("int", n), cast("str", kind)): cast("int", count) for n, kind, count in parts
            }
        self._to_say = ""
        self._inner: Transcriber | None = None
        self._last = RecordedFrame(0, 0, 0, GATEWAY, "", b"")
        if not self._failure:
            self._begin(protocols, opened, inner, rows)

    @classmethod
    def at(
        cls, protocols: Mapping[str, ProtocolProvider], first: RecordedFrame, *, rows: bool = False
    ) -> SessionTranscriber:
        """Make one for the recording that begins with `first`, which is fed to it next."""
        opened: Mapping[str, object] = gateway_body(first) if first.kind == "opened" else {}
        return cls(protocols, opened, rows=rows)

    def _begin(
        self,
        protocols: Mapping[str, ProtocolProvider],
        opened: Mapping[str, object],
        state: bytes | None,
        rows: bool,
    ) -> None:
        name = str(opened.get("protocol", ""))
        provider = protocols.get(name)
        if provider is None:
            self._fail(
                f"no plugin for the protocol {name!r} is enabled: add it under `plugins:` to read this"
            )
            return
        try:
            self._inner = provider.transcriber(opened, state, rows)
        except Exception as exc:  # noqa: BLE001 - a plugin's fault ends the meaning of this session alone (law 7)
            self._fail(f"the transcriber of {name} failed: {type(exc).__name__}: {exc}")

    def feed(self, frame: RecordedFrame) -> list[Entry]:
        """Take the next frame and give the entries that it completes. Raises nothing of the plugin's."""
        self._last = frame
        entries: list[Entry] = []
        if self._inner is not None:
            try:
                found = self._inner.feed(frame)
                entries = found if isinstance(found, list) else list(found)
            except Exception as exc:  # noqa: BLE001 - as above
                self._fail(f"the transcript ends at frame {frame.seq}: {type(exc).__name__}: {exc}")
        if frame.side == GATEWAY and frame.kind in GATEWAY_KINDS:
            own = gateway_entry(frame)
            # A protocol may say more about a frame of the gateway's than the core can; then its word stands.
            if own is not None and not any(entry.n == own.n and entry.kind == own.kind for entry in entries):
                entries.insert(0, own)
        # Most frames complete nothing, and a busy connection has twenty thousand a second.
        return self._numbered(entries) if entries or self._to_say else entries

    def finish(self) -> list[Entry]:
        """The recording ends here, or goes on where it cannot be read yet: give what was left incomplete."""
        entries: list[Entry] = []
        if self._inner is not None:
            try:
                entries.extend(self._inner.finish())
            except Exception as exc:  # noqa: BLE001 - as above
                self._fail(f"the transcript's end is missing: {type(exc).__name__}: {exc}")
        return self._numbered(entries)

    def save(self) -> bytes:
        """Serialise at a segment border."""
        inner: bytes | None = None
        if self._inner is not None:
            try:
                inner = self._inner.save()
            except Exception as exc:  # noqa: BLE001 - as above
                self._fail(f"the transcriber's state cannot be saved: {type(exc).__name__}: {exc}")
        parts = [[n, kind, count] for (n, kind), count in self._parts.items()]
        return cbor2.dumps([inner, self._failure, parts])

    def _fail(self, why: str) -> None:
        self._failure = self._to_say = why
        self._inner = None

    def _numbered(self, entries: list[Entry]) -> list[Entry]:
        if self._to_say:
            text, self._to_say = self._to_say, ""
            last = self._last
            entries.append(Entry(last.seq, last.t, GATEWAY, last.channel, "gap", {"text": text}, text))
        parts = self._parts
        for entry in entries:
            # Rows come before the statement that returned them and share its part.
            key = (entry.n, "sql" if entry.kind == ROWS else entry.kind)
            entry.part = parts.get(key, 0)
            if entry.kind == ROWS:
                continue
            parts[key] = entry.part + 1
            if len(parts) > MAX_NUMBERED:
                del parts[next(iter(parts))]
        return entries
