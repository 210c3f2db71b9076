"""`recgate witness serve`: the judge behind HTTP/1.1, for logs that may be anybody's and networks that are not ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import h11
import structlog
import trio

from recgate.errors import RecgateError
from recgate.metrics import exposition
from recgate.witness.judging import Witness
from recgate.witness.request import MAX_REQUEST, Answer

__all__ = ["serve_witness"]

MAX_CONNECTIONS: Final = 64  # at a time; the next waits in the backlog
BACKLOG: Final = 128
MAX_HEAD: Final = 16 << 10  # bytes of a request's head
IDLE: Final = 60.0  # seconds that a connection may wait for its next request
PATIENCE: Final = 20.0  # seconds for a request and its answer

log = structlog.get_logger("recgate.witness")


async def serve_witness(
    witness: Witness,
    host: str,
    port: int,
    *,
    task_status: trio.TaskStatus[tuple[str, int]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer until cancelled; reports the address that is bound. Raises `OSError` when it cannot be.

    Cancelled, a request under way is left without its answer: what it decided is remembered, or nothing was decided.
    """
    (listener,) = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    async with listener, trio.open_nursery() as nursery:
        serving = _Serving(witness)
        bound = listener.socket.getsockname()
        task_status.started((str(bound[0]), int(bound[1])))
        while True:
            async with serving.room:
                pass
            try:
                stream = await listener.accept()
            except OSError as error:
                log.warning("accept.failed", error=error.strerror)
                await trio.sleep(0.1)  # descriptors come back when connections end
                continue
            nursery.start_soon(serving.connection, stream)


@dataclass
class _Serving:
    witness: Witness
    room: trio.Semaphore = field(default_factory=lambda: trio.Semaphore(MAX_CONNECTIONS))
    # The memory takes one decision at a time anyway: waiting here needs no thread.
    turn: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))

    async def connection(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever is wrong with it ends it alone."""
        async with self.room, stream:
            connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
            try:
                while await self._exchange(connection, stream):
                    connection.start_next_cycle()
            except (h11.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                return

    async def _exchange(self, connection: h11.Connection, stream: trio.SocketStream) -> bool:
        """Answer one request; says if there may be another one."""
        with trio.fail_after(IDLE):
            event = await _next(connection, stream)
        if not isinstance(event, h11.Request):
            return False
        with trio.fail_after(PATIENCE):
            body = bytearray()
            while isinstance(part := await _next(connection, stream), h11.Data):
                body += part.data
                if len(body) > MAX_REQUEST:
                    answer = Answer(413, f"a request has at most {MAX_REQUEST} bytes\n")
                    await _send(connection, stream, answer, close=True)
                    return False
            answer = await self._answer(event, bytes(body))
            await _send(connection, stream, answer, head=event.method == b"HEAD")
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, request: h11.Request, body: bytes) -> Answer:
        path = request.target.partition(b"?")[0]
        asks: dict[bytes, tuple[bytes, Callable[[], Answer]]] = {
            b"/": (b"GET", self._about),
            b"/metrics": (b"GET", lambda: Answer(200, exposition().decode())),
        }
        if path == b"/add-checkpoint":
            if request.method != b"POST":
                return Answer(405, "POST a checkpoint here\n")
            return await self._judge(body)
        if path not in asks:
            return Answer(404, "POST /add-checkpoint is what this witness answers (c2sp.org/tlog-witness)\n")
        method, give = asks[path]
        return give() if request.method in (method, b"HEAD") else Answer(405, "GET this\n")

    async def _judge(self, body: bytes) -> Answer:
        try:
            answer = await trio.to_thread.run_sync(self.witness.judge, body, limiter=self.turn)
        except RecgateError as error:
            log.error("witness.failed", reason=str(error))
            return Answer(503, "this witness cannot remember heads now; try again later\n")
        if answer.why:
            log.info("witness.answered", status=answer.status, reason=answer.why)
        return answer

    def _about(self) -> Answer:
        return Answer(200, f"{self.witness.vkey.text}\n")


async def _next(connection: h11.Connection, stream: trio.SocketStream) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            await stream.send_all(
                connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
            )
        connection.receive_data(await stream.receive_some(MAX_HEAD))
    return event


async def _send(
    connection: h11.Connection,
    stream: trio.SocketStream,
    answer: Answer,
    *,
    head: bool = False,
    close: bool = False,
) -> None:
    body = answer.body.encode()
    headers = [
        ("content-type", answer.kind),
        ("content-length", str(len(body))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ]
    if close:
        headers.append(("connection", "close"))
    parts = (
        connection.send(h11.Response(status_code=answer.status, headers=headers)),
        connection.send(h11.Data(data=b"" if head else body)),
        connection.send(h11.EndOfMessage()),
    )
    await stream.send_all(b"".join(part or b"" for part in parts))
