"""The recording of a gateway: opens recorders, has their parts sealed, and recovers what a dead gateway left.

One a process. It holds a lock on the journal, so what lies there and is not its own has no owner any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, cast

import cbor2
import structlog
import trio

from recgate.errors import RecordingFailed
from recgate.ids import session_bytes
from recgate.recording.directory import is_session
from recgate.recording.durability import GroupCommit
from recgate.recording.journal import Journal
from recgate.recording.limits import MAX_OPENED, MAX_REASON, MIN_FREE, SESSION_QUOTA
from recgate.recording.link import NotAsked, SealingWorker, WorkerLost, WorkerRefused
from recgate.recording.logfiles import sync_directory
from recgate.recording.plan import RecordingPlan
from recgate.recording.publishing import LedgerPublishing
from recgate.recording.recorder import Recorder, Unsealed
from recgate.recording.replay import replay
from recgate.recording.wallclock import WallClock
from recgate.sansio.frames import GATEWAY

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.keys import GatewayKeys
    from recgate.plugins import Registry
    from recgate.providers import RecordingStore
    from recgate.readiness import Readiness

__all__ = ["RecordingService"]

LOCK_NAME: Final = ".lock"
TICK: Final = 1.0  # seconds between looks at parts that have become old enough
PROVE: Final = 5.0  # seconds between proofs that an identity key that rests elsewhere can be had
SWEEP: Final = 60.0  # seconds between looks for journals without an owner
MAX_ATTEMPTS: Final = 3  # recoveries of one journal that the worker may die of, until the gateway starts anew
RETRY_FIRST, RETRY_LAST = 0.5, 30.0  # seconds before a failed seal, or a dead worker, is tried again
DRAIN: Final = 20.0  # seconds that seals under way get when the service stops

_LOST: Final = "the sealing process ended and with it this session's key; the session cannot be recorded on"
_DIED: Final = "the gateway stopped without closing the session"

log = structlog.get_logger("recgate.recording")


class RecordingService:
    """Use as `async with`: inside, sessions can be recorded.

    Leaving it seals what is complete within `DRAIN` seconds; what is not is recovered at the next start. `recovered`
    is called with the id and the outcome of every journal that was recovered.
    """

    def __init__(
        self, plan: RecordingPlan, store: RecordingStore, readiness: Readiness | None = None
    ) -> None:
        self.plan = plan
        self.store = store
        self.recorders: dict[str, Recorder] = {}
        self.over = False  # the backlog of all sessions is above the quota
        self.share = 0  # bytes that one session may have waiting; none when `over`; asked at every read
        self.recovered: Callable[[str, Mapping[str, object]], None] | None = None
        self.ledger = LedgerPublishing(plan.ledger)
        self.unneeded: Callable[[], None] | None = None  # called after each sweep
        self._commit = GroupCommit(plan.root, readiness)
        self._worker: SealingWorker | None = None
        self._up = trio.Event()
        self._sealing: set[str] = set()
        self._changed = trio.Event()
        self._sweep_now = trio.Event()
        self._swept = trio.Event()
        # A journal that kills the worker would end every session with it at every sweep.
        self._attempts: dict[str, int] = {}
        self._backlog = 0  # bytes that wait for the store, of live sessions
        self._orphaned = 0  # and of those that no recorder is left of
        self.weigh(0)
        self._clock = WallClock()
        self._lock = -1
        self._keyless = ""  # why the identity key cannot be had, where it rests elsewhere
        self._following: RecordingPlan | None = None  # with keys that the worker could not be given yet
        self._taking = trio.Lock()
        self._stack = AsyncExitStack()
        self._nursery: trio.Nursery

    @classmethod
    def of(
        cls,
        config: Configuration,
        registry: Registry,
        keys: GatewayKeys,
        readiness: Readiness | None = None,
    ) -> RecordingService:
        """Make the service of a configured gateway; `readiness` is what serves its sockets."""
        return cls(RecordingPlan.of(config, registry, keys), registry.store, readiness)

    # -- life ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> RecordingService:
        """Start the worker and the sweeper. Raises `RecordingFailed` when nothing could be recorded."""
        self._lock = _take_lock(self.plan.root)
        try:
            await trio.to_thread.run_sync(self._put_back)
        except BaseException:
            os.close(self._lock)
            raise
        self._nursery = await self._stack.enter_async_context(trio.open_nursery())
        try:
            await self._nursery.start(self._keep_worker)
            if self.plan.synced:
                await self._nursery.start(self._commit.run)
            self._nursery.start_soon(self.ledger.run)
            self._nursery.start_soon(self._tick)
            self._nursery.start_soon(self._sweep)
            self._nursery.start_soon(self._prove)
        except BaseException:
            await self._stop()
            raise
        return self

    def _put_back(self) -> None:
        """Also without `synced`: the gateway that stopped may have been configured otherwise."""
        replayed = replay(self.plan.root)
        if replayed.entries:
            log.warning("recording.put-back", **asdict(replayed))

    async def _stop(self) -> None:
        # Entered from within: only a nursery that has no exception to carry on leaves ours as it is.
        self._nursery.cancel_scope.cancel()
        await self._stack.aclose()
        os.close(self._lock)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Let seals under way finish, then stop. What is left is recovered at the next start."""
        try:
            with trio.move_on_after(DRAIN, shield=True):
                while any(recorder.unsealed for recorder in self.recorders.values()):
                    await self.changed()
            self._nursery.cancel_scope.cancel()
            return bool(await self._stack.__aexit__(kind, error, trace))
        finally:
            with trio.CancelScope(shield=True):
                await self.ledger.finish()
            for recorder in self.recorders.values():
                recorder.journal.release()
                for descriptor in recorder.journal.retired:
                    os.close(descriptor.descriptor)
            os.close(self._lock)

    # -- keys -------------------------------------------------------------------------------------------

    async def take_keys(self, keys: GatewayKeys) -> None:
        """Go on with other keys: for headers and recoveries that are signed, and for journals that begin, from now on.

        Cancelled, the worker has them or will have them when it is next started.

        Raises:
            RecordingFailed: the worker cannot have the new identity key now. It is asked again and again, and no
                session is opened until it has.
        """
        await self._take(self.plan.keyed(keys))

    async def _take(self, following: RecordingPlan) -> None:
        async with self._taking:
            self._following = following
            # First the worker, then the journals: none may begin under a key that the worker could not read.
            self.plan = self.plan.between(following)
            reason = await self._cannot({"do": "keys", **self.plan.keys_message()})
            self._say_keyless(reason)
            if reason:
                raise RecordingFailed(reason)
            self.plan = replace(self.plan, identity=following.identity, wrapping=following.wrapping)
            self._following = None

    async def _prove(self) -> None:
        """Where the identity key rests elsewhere, see again and again that it can be had: no header, no session."""
        while True:
            if self._following is not None:
                with contextlib.suppress(
                    RecordingFailed
                ):  # which was said, and keeps sessions from being opened
                    await self._take(self._following)
            elif self.plan.kept():
                self._say_keyless(await self._cannot({"do": "prove"}))
            await trio.sleep(PROVE)

    async def _cannot(self, request: Mapping[str, object]) -> str:
        """Say why the worker cannot do what it is asked; a worker that dies is followed by one that knows the plan."""
        try:
            return str((await self._ask(request)).get("failed", ""))
        except WorkerLost:
            return ""

    def _say_keyless(self, reason: str) -> None:
        if reason and reason != self._keyless:
            log.error("recording.key-away", reason=reason)
        elif self._keyless and not reason:
            log.warning("recording.key-back")
        self._keyless = reason

    # -- sessions --------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise `RecordingFailed` unless a session could be recorded now. Says what to do."""
        self.store.check()
        self.ledger.check()
        root = self.plan.root
        try:
            space = os.statvfs(root)
        except OSError as error:
            raise RecordingFailed(f"journal: {root}: {error.strerror}; no session was opened.") from error
        if space.f_bavail * space.f_frsize < MIN_FREE:
            raise RecordingFailed(f"journal: {root} has no space left; add some. No session was opened.")
        if self.over:
            raise RecordingFailed(
                f"journal: {self._backlog + self._orphaned >> 20} MiB in {root} wait for the store, which is the limit "
                "(recording: backlog). See why the store does not take them. No session was opened."
            )
        if self._keyless:
            raise RecordingFailed(f"{self._keyless}. No session was opened.")
        if not self._up.is_set():
            raise RecordingFailed(
                "the sealing process is being started again. No session was opened; try again."
            )

    def open(self, opened: Mapping[str, object]) -> Recorder:
        """Open the recording of a session: when this returns, its first frame is written.

        Raises:
            RecordingFailed: the session cannot be recorded and must not begin.
        """
        session = opened.get("session")
        if not isinstance(session, str) or not is_session(session):
            raise RecordingFailed("a recording needs a session id")
        facts = _encode_opened(opened)
        journal = Journal.create(
            self.plan.root, session, self.plan.wrapping.reveal(), synced=self.plan.synced
        )
        try:
            journal.append(GATEWAY, "opened", facts)
        except RecordingFailed:
            journal.remove()
            raise
        recorder = Recorder(session, journal, self, waits=self.plan.synced)
        self.recorders[session] = recorder
        self._nursery.start_soon(self._begin, recorder)
        return recorder

    async def _begin(self, recorder: Recorder) -> None:
        """Have the worker take the session up, so that it is listed while it lives. Sealing does so as well."""
        try:
            await self._ask({"do": "begin", "session": recorder.session_id})
        except WorkerLost:
            return
        recorder.listed.set()

    def seal_to(self, recipients: Sequence[str]) -> None:
        """Seal every segment from the next one on to these public keys (`rgpub1…`), of running sessions too."""
        self.plan = replace(self.plan, recipients=tuple(recipients))

    # -- what recorders ask (recorder.Sealing) -----------------------------------------------------------

    def wanted(self, recorder: Recorder) -> None:
        """A part waits for its seal: see to it that somebody has it sealed."""
        if recorder.session_id not in self._sealing:
            self._sealing.add(recorder.session_id)
            self._nursery.start_soon(self._seal, recorder)

    def given_up(self, recorder: Recorder) -> None:
        """Recover a session that this gateway itself has lost the key of."""
        self.recorders.pop(recorder.session_id, None)
        self._nursery.start_soon(self._recover_own, recorder)

    def weigh(self, added: int) -> None:
        """Some more bytes wait for the store, or fewer."""
        self._backlog += added
        free = self.plan.quota - self._backlog - self._orphaned
        self.over = free <= 0
        self.share = 0 if self.over else max(SESSION_QUOTA, free)

    async def changed(self) -> None:
        """Wait until some backlog has become smaller, or a recorder has failed."""
        await self._changed.wait()

    async def synced(self, journal: Journal) -> None:
        """Make what was appended durable. Raises `RecordingFailed`."""
        await self._commit.wait(journal)

    def when_synced(self, journal: Journal, call: Callable[[], None]) -> None:
        """Call back once what was appended is durable, or the journal has failed."""
        self._commit.then(journal, call)

    def released(self, journal: Journal) -> None:
        """Close what the journal has put away."""
        if journal.retired:
            self._commit.collect(journal)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # -- sealing ---------------------------------------------------------------------------------------

    async def _ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Ask the worker that runs, or the next one. Raises `WorkerLost`: it died over this."""
        while True:
            await self._up.wait()
            try:
                return await cast("SealingWorker", self._worker).ask(request)
            except NotAsked:
                continue

    async def _seal(self, recorder: Recorder) -> None:
        """Have the parts of one session sealed in their order, until none waits."""
        while recorder.unsealed and not recorder.lost:
            parts = recorder.next_parts()
            if await self._seal_parts(recorder, parts):
                recorder.took(parts)
                self._tell()
        self._sealing.discard(recorder.session_id)
        if recorder.sealed:
            self.recorders.pop(recorder.session_id, None)
            self._commit.gone(recorder.journal.session)

    async def _seal_parts(self, recorder: Recorder, parts: Sequence[Unsealed]) -> bool:
        """Have parts sealed as one segment, trying until the store takes it or the chain is lost.

        The same parts every time: what the store has taken half-way must be taken again as the same bytes.
        """
        delay = RETRY_FIRST
        request = {
            "do": "seal",
            "session": recorder.session_id,
            "parts": [[each.part.number, each.part.size] for each in parts],
            "final": parts[-1].final,
            "preallocated": parts[-1].preallocated,
            "recipients": self.plan.recipients,
        }
        while not recorder.lost:
            try:
                answer = await self._ask(request)
            except WorkerLost:
                self._lose(recorder, _LOST)
                return False
            if "done" in answer:
                recorder.chained = True
                return not recorder.lost
            reason = str(answer["failed"])
            if not answer["retry"]:
                self._lose(recorder, reason)
                return False
            log.warning("recording.unsealed", session=recorder.session_id, reason=reason, retry=delay)
            await trio.sleep(delay)
            delay = min(delay * 2, RETRY_LAST)
        return False

    def _lose(self, recorder: Recorder, why: str) -> None:
        """End a session whose chain cannot be gone on with. Its task hears of it at its next append."""
        if recorder.lost:
            return
        log.error("recording.lost", session=recorder.session_id, reason=why)
        recorder.fail(why)
        self._tell()

    # -- the worker ------------------------------------------------------------------------------------

    async def _keep_worker(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep a worker running. The first must start, or the gateway does not."""
        delay, started = RETRY_FIRST, False
        while True:
            worker = SealingWorker(self.plan.first_message(), self._note, self._down)
            refusal = await self._run_worker(worker, task_status if not started else trio.TASK_STATUS_IGNORED)
            if refusal is not None and not started:
                raise refusal
            started = True
            delay = min(delay * 2, RETRY_LAST) if refusal is not None else RETRY_FIRST
            for recorder in tuple(self.recorders.values()):
                if recorder.chained:
                    self._lose(recorder, _LOST)
            await trio.sleep(delay)

    async def _run_worker(
        self, worker: SealingWorker, task_status: trio.TaskStatus[None]
    ) -> WorkerRefused | None:
        """Run one worker to its end; gives why it could not begin, if it could not."""
        refusals: list[BaseException] = []
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(worker.run)
                self._worker = worker
                self._up.set()
                task_status.started()
            log.error("recording.worker-died", pid=worker.pid)
        except* WorkerRefused as refused:
            refusals += refused.exceptions
        if not refusals:
            return None
        log.error("recording.worker-refused", reason=str(refusals[0]))
        return WorkerRefused(str(refusals[0]))

    def _down(self) -> None:
        self._up = trio.Event()

    def _note(self, event: str, facts: Mapping[str, object]) -> None:
        log.warning(event, **facts)

    # -- time and the dead -----------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK)
            if jump := self._clock.jumped():
                self._note_jump(jump)
            for recorder in tuple(self.recorders.values()):
                recorder.rotate_if_due()
            self._commit.mark()

    def _note_jump(self, jump: int) -> None:
        """Say in every live recording that the wall clock was set: its frames go by another one."""
        seconds = round(jump / 1e9, 1)
        log.warning("recording.clock-jumped", seconds=seconds)
        which = "forward" if jump > 0 else "back"
        text = f"the gateway's wall clock jumped {which} by {abs(seconds)} s"
        for recorder in tuple(self.recorders.values()):
            recorder.note({"text": text, "jump": jump // 1000, "wall": time.time_ns()})

    async def swept(self) -> None:
        """Wait for the end of a sweep, which begins now unless one is under way."""
        done = self._swept
        self._sweep_now.set()
        await done.wait()

    async def _sweep(self) -> None:
        while True:
            for session in self._orphans():
                await self._recover(session, _DIED)
            self._orphaned = sum(self._size(session) for session in self._orphans())
            self.weigh(0)
            if self.unneeded is not None:
                self.unneeded()
            done, self._swept = self._swept, trio.Event()
            done.set()
            with trio.move_on_after(SWEEP):
                await self._sweep_now.wait()
            self._sweep_now = trio.Event()

    def _orphans(self) -> list[str]:
        try:
            names = sorted(os.listdir(self.plan.root))
        except OSError as error:
            log.error("recording.journal-unreadable", reason=str(error))
            return []
        return [
            name
            for name in names
            if is_session(name) and name not in self.recorders and self._attempts.get(name, 0) < MAX_ATTEMPTS
        ]

    def _size(self, session: str) -> int:
        try:
            return sum(entry.stat().st_size for entry in os.scandir(self.plan.root / session))
        except OSError:
            return 0  # recovered meanwhile

    async def _recover_own(self, recorder: Recorder) -> None:
        await self._recover(recorder.session_id, recorder.failure)
        recorder.ended()

    async def _recover(self, session: str, reason: str) -> None:
        """Have one journal recovered, if it is still there. What fails is tried at the next sweep."""
        if session in self.recorders or not (self.plan.root / session).exists():
            return
        try:
            request = {"do": "recover", "session": session, "reason": reason}
            answer = await self._ask({**request, "recipients": self.plan.recipients})
        except WorkerLost as error:
            self._attempts[session] = self._attempts.get(session, 0) + 1
            answer = {"failed": str(error)}
        if "failed" in answer:
            log.warning("recording.unrecovered", session=session, reason=answer["failed"])
            return
        outcome = cast("Mapping[str, object]", answer["done"])
        log.warning("recording.recovered", session=session, **outcome)
        if outcome["status"] != "damaged":
            self._commit.gone(session_bytes(session))
        if self.recovered is not None:
            self.recovered(session, outcome)


def _encode_opened(opened: Mapping[str, object]) -> bytes:
    """Encode the first frame's body. Names come from outside: what cannot be written down opens no session."""
    try:
        facts = cbor2.dumps(dict(opened), canonical=True)
    except (cbor2.CBOREncodeError, ValueError) as error:
        raise RecordingFailed(f"who opens this session cannot be recorded: {error}"[:MAX_REASON]) from error
    if len(facts) > MAX_OPENED:
        raise RecordingFailed(
            f"who opens this session takes {len(facts)} bytes to record, and the limit is {MAX_OPENED}; "
            "see how many groups that user has"
        )
    return facts


def _take_lock(root: Path) -> int:
    """Make the journal's directory ours for as long as this process lives."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Journals that are on the disk are lost with the name of the directory that they are in.
        sync_directory(root.parent)
        descriptor = os.open(root / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RecordingFailed(
            f"journal: {root} cannot be used by uid {os.geteuid()} ({error.strerror}); recording is mandatory."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise RecordingFailed(
            f"journal: {root} is in use by another gateway. Give each its own data_dir."
        ) from None
    return descriptor
