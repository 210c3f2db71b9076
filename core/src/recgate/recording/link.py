"""The gateway's end of the sealing worker: start it, ask it, notice that it died, start it again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final, cast

import trio

from recgate.errors import RecordingFailed
from recgate.recording.messages import Message, pack_message, receive_message

__all__ = ["NotAsked", "SealingWorker", "WorkerLost", "WorkerRefused"]

# Requests under way; the rest waits here. The worker does one after the other, so two keep it busy.
MAX_OUTSTANDING: Final = 4
# Seconds until a new worker must have answered: it may have to wait for its predecessor to finish a write.
START_LIMIT: Final = 60
# Seconds that a worker gets to end by itself once its input is closed.
STOP_LIMIT: Final = 10


# The worker makes and drops the same megabytes for every segment. Left to its defaults the C library gives them back
# to the kernel and faults them in again each time, which costs as much as hashing them.
_MEMORY: Final = {
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TOP_PAD_": str(16 << 20),
}


class WorkerLost(RecordingFailed):
    """The worker died before it answered."""


class NotAsked(RecordingFailed):
    """The worker died before it was asked."""


class WorkerRefused(RecordingFailed):
    """The worker could not begin with what it was given."""


class _Answer:
    __slots__ = ("done", "message")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.message: Message | None = None


class SealingWorker:
    """One worker process. `note` gets what it wants logged, `down` is called once when it has died."""

    def __init__(
        self,
        first: Mapping[str, object],
        note: Callable[[str, Mapping[str, object]], None],
        down: Callable[[], None],
    ) -> None:
        self._first = dict(first)
        self._note = note
        self._down = down
        self._answers: dict[int, _Answer] = {}
        self._next = 0
        self._room = trio.CapacityLimiter(MAX_OUTSTANDING)
        self._sending = trio.Lock()
        self._process: trio.Process | None = None
        self._gone = False

    @property
    def pid(self) -> int:
        """The process's id, or 0 before it runs."""
        return self._process.pid if self._process is not None else 0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run a worker until it dies or this is cancelled; report when it is ready.

        Raises:
            WorkerRefused: it could not begin. Cancelled, the process is gone when this returns.
        """
        command = [sys.executable, "-m", "recgate.recording.worker"]
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **_MEMORY}
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        try:
            await process.stdin.send_all(pack_message(self._first))
            buffer = bytearray()
            with trio.fail_after(START_LIMIT):
                answer = await receive_message(process.stdout, buffer)
            if answer is None or "ready" not in answer:
                why = (answer or {}).get("refused", "it ended at once")
                raise WorkerRefused(f"the sealing worker cannot begin: {why}")
            task_status.started()
            while (message := await receive_message(process.stdout, buffer)) is not None:
                self._take(message)
        except trio.TooSlowError:
            raise WorkerRefused(
                "the sealing worker did not begin in time; is another gateway using it?"
            ) from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it died: said to everybody who waits, below
        finally:
            self._gone = True
            self._down()
            for answer in self._answers.values():
                answer.done.set()
            with trio.CancelScope(shield=True):
                await _end(process)

    def _take(self, message: Message) -> None:
        if "note" in message:
            self._note(str(message["note"]), cast("Mapping[str, object]", message["facts"]))
            return
        answer = self._answers.pop(cast("int", message["id"]), None)
        if answer is not None:
            answer.message = message
            answer.done.set()

    async def ask(self, request: Mapping[str, object]) -> Message:
        """Have one request done. Waits while too many are under way; cancelled, it is done or not.

        Raises:
            WorkerLost: the worker died over it; it may have been done or not.
            NotAsked: the worker had died before.
        """
        async with self._room:
            number, answer = await self._send(request)
            try:
                await answer.done.wait()
            finally:
                self._answers.pop(number, None)
            if answer.message is None:
                raise WorkerLost("the sealing worker has died")
            return answer.message

    async def _send(self, request: Mapping[str, object]) -> tuple[int, _Answer]:
        async with self._sending:
            if self._gone or self._process is None or self._process.stdin is None:
                raise NotAsked("the sealing worker is not running")
            number, answer = self._next, _Answer()
            self._next += 1
            self._answers[number] = answer
            try:
                # Shielded: half a message would garble every later one. The worker reads at once.
                with trio.CancelScope(shield=True):
                    await self._process.stdin.send_all(pack_message({**request, "id": number}))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._answers.pop(number, None)
                raise NotAsked("the sealing worker has died") from None
            return number, answer


async def _end(process: trio.Process) -> None:
    """Close the worker's input, which ends it, and make sure."""
    if process.stdin is not None:
        await process.stdin.aclose()
    with trio.move_on_after(STOP_LIMIT):
        await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    if process.stdout is not None:
        await process.stdout.aclose()
