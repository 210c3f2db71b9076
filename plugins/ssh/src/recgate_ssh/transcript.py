"""What a recorded SSH session means: programs, keys, screens, files and forwards, as entries (pure code).

`shell`   {command, exit, type, pty, term, bytes_client, bytes_upstream}: a program, given when it ended; and
          {command, typed} for each command line that was typed into a terminal, as the terminal showed it
`key`     {text}: typed; {text: "•••", hidden} where the terminal did not echo; {text, stream: stdin} without one
`screen`  {text}: shown by a terminal; {text, stream: stdout|stderr} without one, or on stderr
`resize`  {cols, rows}, the first one from the request for a terminal
`file`    {path, direction, size, sha256}: `upload`, `download`; `sha256_absent` says why there is none; {path,
          direction: remove|rename|mkdir|…, to} for what else sftp did; `error` where it failed
`forward` {direction, host, port, origin, bytes_client, bytes_upstream}: a forwarded connection, given when it ended;
          {direction: listen, host, port, ok} for a port that the target was asked to listen on
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import cbor2

from recgate.errors import RemoteProtocolError
from recgate.recording.frames import RecordedFrame
from recgate.sansio.frames import CLIENT
from recgate.transcript.entries import Entry
from recgate_ssh.frames import Kind, body_of
from recgate_ssh.programs import Program
from recgate_ssh.words import legible

__all__ = ["SshTranscriber"]

MAX_FOLLOWED: Final = 512  # channels followed at once; the gateway itself allows fewer
MAX_STATE: Final = 60 * 1024  # bytes of saved state, below the core's limit of 64 KiB


class _Forward:
    """A forwarded connection."""

    __slots__ = ("body", "closed", "n", "sizes", "t")

    def __init__(self, n: int, t: int, body: dict[str, object]) -> None:
        self.n, self.t, self.body = n, t, body
        self.sizes = [0, 0, 0]
        self.closed = 0


class SshTranscriber:
    """Follows the channels of one session (`Transcriber`)."""

    def __init__(self, state: bytes | None = None) -> None:
        self._programs: dict[int, Program] = {}
        self._forwards: dict[int, _Forward] = {}
        self._listens: list[list[Any]] = []  # requests to listen, waiting for their answer
        if state is not None:
            self._restore(cbor2.loads(state))

    def feed(self, frame: RecordedFrame) -> Iterable[Entry]:
        """Take the next frame."""
        number, kind = frame.channel, frame.kind
        program = self._programs.get(number)
        if kind in ("data", "ext"):
            if program is not None:
                return list(program.data(frame))
            if number in self._forwards:
                self._forwards[number].sizes[frame.side] += len(frame.data)
            return ()
        if kind not in _CBOR:
            return list(self._closed(frame)) if kind == Kind.CLOSE else ()
        try:
            body = body_of(frame.data)
        except RemoteProtocolError:
            return ()
        if kind == Kind.OPEN:
            self._open(frame, body)
        elif kind == Kind.FAILURE:
            return list(self._failed(frame, body))
        elif kind == Kind.GLOBAL:
            self._listen(frame, body)
        elif kind == Kind.REPLY and number == 0:
            return list(self._listening(body))
        elif program is not None:
            return list(self._of_program(program, frame, body))
        return ()

    def _of_program(self, program: Program, frame: RecordedFrame, body: dict[str, Any]) -> Iterable[Entry]:
        if frame.kind == Kind.REQUEST and frame.side == CLIENT:
            return program.request(frame, body)
        if frame.kind == Kind.RESIZE:
            return program.resize(frame, body)
        if frame.kind == Kind.EXIT:
            program.exited(body)
        return ()

    # -- channels --------------------------------------------------------------------------------------

    def _open(self, frame: RecordedFrame, body: Mapping[str, Any]) -> None:
        if len(self._programs) + len(self._forwards) >= MAX_FOLLOWED:
            return
        if body.get("type") == "session":
            self._programs[frame.channel] = Program(frame.seq, frame.t, frame.channel)
            return
        self._forwards[frame.channel] = _Forward(
            frame.seq,
            frame.t,
            {
                "direction": "local" if frame.side == CLIENT else "remote",
                "host": legible(body.get("host", ""))[:255],
                "port": body.get("port", 0),
                "origin": f"{legible(body.get('origin_host', ''))[:255]}:{body.get('origin_port', 0)}",
            },
        )

    def _failed(self, frame: RecordedFrame, body: Mapping[str, Any]) -> Iterable[Entry]:
        self._programs.pop(frame.channel, None)
        forward = self._forwards.pop(frame.channel, None)
        if forward is not None:
            yield _forwarded(frame.channel, forward, {"error": legible(body.get("reason", ""))[:255]})

    def _closed(self, frame: RecordedFrame) -> Iterable[Entry]:
        """Both sides close a channel; it is over with the second."""
        which = self._programs.get(frame.channel) or self._forwards.get(frame.channel)
        if which is None:
            return
        which.closed += 1
        if which.closed == 2:
            yield from self._over(frame.channel)

    def _over(self, number: int) -> Iterable[Entry]:
        program = self._programs.pop(number, None)
        if program is not None:
            yield from program.finish()
        forward = self._forwards.pop(number, None)
        if forward is not None:
            yield _forwarded(number, forward, {})

    def finish(self) -> Iterable[Entry]:
        """Give what was left open, in the order of channels."""
        numbers = sorted({*self._programs, *self._forwards})
        return [entry for number in numbers for entry in self._over(number)]

    # -- ports of the target -----------------------------------------------------------------------------

    def _listen(self, frame: RecordedFrame, body: Mapping[str, Any]) -> None:
        if len(self._listens) < MAX_FOLLOWED:
            word = "listen" if body.get("type") == "tcpip-forward" else "stop listening"
            host, port = legible(body.get("host", ""))[:255], body.get("port", 0)
            self._listens.append([frame.seq, frame.t, word, host, port])

    def _listening(self, body: Mapping[str, Any]) -> Iterable[Entry]:
        if self._listens:
            n, t, word, host, port = self._listens.pop(0)
            shown = {
                "direction": word,
                "host": host,
                "port": body.get("port", port),
                "ok": bool(body.get("ok")),
            }
            text = f"{word} {host}:{shown['port']}"
            yield Entry(n, t, 0, 0, "forward", shown, text, (("object", f"{host}:{shown['port']}"),))

    # -- state -----------------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Serialise. What does not fit is left out, the oldest channels first: they are said to be cut then."""
        programs = [program.save() for program in self._programs.values()]
        forwards = [[number, f.n, f.t, f.body, f.sizes, f.closed] for number, f in self._forwards.items()]
        state = cbor2.dumps([programs, forwards, self._listens])
        while len(state) > MAX_STATE and (programs or forwards or self._listens):
            if programs:
                programs.pop(0)
            elif forwards:
                del forwards[: len(forwards) // 2 + 1]
            else:
                self._listens.clear()
            state = cbor2.dumps([programs, forwards, self._listens])
        return state

    def _restore(self, state: object) -> None:
        programs, forwards, self._listens = cast("tuple[list[Any], list[Any], list[Any]]", state)
        for each in programs:
            program = Program.restore(each)
            self._programs[program.channel] = program
        for number, n, t, body, sizes, closed in forwards:
            forward = _Forward(n, t, body)
            forward.sizes, forward.closed = sizes, closed
            self._forwards[number] = forward


_CBOR: Final = frozenset(
    {Kind.OPEN, Kind.FAILURE, Kind.REQUEST, Kind.REPLY, Kind.RESIZE, Kind.EXIT, Kind.GLOBAL}
)


def _forwarded(number: int, forward: _Forward, more: Mapping[str, object]) -> Entry:
    body = {**forward.body, "bytes_client": forward.sizes[0], "bytes_upstream": forward.sizes[1], **more}
    where = f"{body['host']}:{body['port']}"
    text = f"forward {body['direction']} {where}"
    return Entry(forward.n, forward.t, 0, number, "forward", body, text, (("object", where),))
