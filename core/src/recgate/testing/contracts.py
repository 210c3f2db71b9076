"""The vendor kit for relays: subclass `RelayContract`, say how your protocol sounds, and the six invariants run.

    class TestMyRelay(RelayContract):
        def make_relay(self): return MyRelay()
        def target(self): return TargetInfo("t", "mine", "127.0.0.1", 1, MyTarget())
        opening = [...]      # what both sides say until the session is open
        early = ...          # client bytes, sent before the answer, that must be held
        ...

The tests are the invariants of a relay: early data is held (1), a stuck recorder stops forwarding and reading
(2), what a mask changed is recorded and sent (3), sealing is shielded (4), chunking does not matter (5), and
garbage gives `RemoteProtocolError` in bounded memory (6).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

import pytest
import trio
import trio.testing

from recgate.decisions import Decision
from recgate.errors import RemoteProtocolError
from recgate.model import Credential, Principal, ScramKeys, Secret, TargetInfo
from recgate.sansio.asks import (
    Ask,
    LoggedIn,
    Login,
    Reply,
    Route,
    Routed,
    ScramLookedUp,
    ScramLookup,
    StartTls,
    TlsDone,
)
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame
from recgate.sansio.relay import Relay
from recgate.testing.playbook import Say, chunked, play
from recgate.testing.running import RunningRelay
from recgate.testing.tables import table

__all__ = ["RelayContract"]

RANDOM_CUTS: Final = 25  # seeded random ways to cut the whole conversation
GARBAGE_RUNS: Final = 150
GARBAGE_LENGTH: Final = 4_000


class RelayContract:
    """The six invariants. Give the class attributes and `make_relay`; override `answer` where yours needs more."""

    opening: ClassVar[Sequence[Say]] = ()
    """Both sides until the session is open, starting with the client; the target's part may be static bytes."""
    talk: ClassVar[Sequence[Say]] = ()
    """What is then said, both ways."""
    early: ClassVar[bytes] = b""
    """Client bytes that a hasty client sends right behind its login; they must reach the target once, later."""
    maskable: ClassVar[tuple[bytes, bytes]] = (b"", b"")
    """Bytes in what the target says in `talk`, and what a mask of the same length makes of them."""

    def make_relay(self) -> Relay:
        """A fresh relay, made with fixed randomness where it uses any."""
        raise AssertionError("a RelayContract says how its relay is made")

    def target(self) -> TargetInfo:
        """The target that `opening` opens."""
        raise AssertionError("a RelayContract says what its target is")

    def answer(self, ask: Ask) -> Reply:
        """Answer the relay's asks as the core would."""
        target = self.target()
        if isinstance(ask, Login):
            return LoggedIn(Principal("fake", "1", "alice", frozenset({"dba"})), target.name)
        if isinstance(ask, ScramLookup):
            return ScramLookedUp(ScramKeys(b"0123456789abcdef", 4096, "nonce"))
        if isinstance(ask, Route):
            return Routed(target, Credential("app", Secret("secret")), "0" * 26)
        assert isinstance(ask, StartTls)
        return TlsDone(ask.alpn[0] if ask.alpn else "")

    # -- 5, 6: without I/O -------------------------------------------------------------------------------

    def _whole(self) -> Sequence[Say]:
        return [*self.opening, *self.talk]

    def test_one_byte_at_a_time_gives_the_same_events(self) -> None:
        whole = play(self.make_relay(), self._whole(), self.answer)
        single = play(self.make_relay(), self._whole(), self.answer, lambda data: (bytes([b]) for b in data))
        assert table(single) == table(whole)

    def test_every_split_gives_the_same_events(self) -> None:
        whole = table(play(self.make_relay(), self._whole(), self.answer))
        longest = max(len(say.data) for say in self._whole())
        for at in range(1, longest):
            cut = play(self.make_relay(), self._whole(), self.answer, lambda data, at=at: chunked(data, [at]))
            assert table(cut) == whole, f"cut at byte {at}"

    def test_random_cuts_give_the_same_events(self) -> None:
        whole = table(play(self.make_relay(), self._whole(), self.answer))
        for seed in range(RANDOM_CUTS):
            dice = random.Random(seed)  # noqa: S311 - seeded on purpose: a failure names its seed

            def cut(data: bytes, dice: random.Random = dice) -> Iterable[bytes]:
                return chunked(data, sorted(dice.randrange(len(data)) for _ in range(min(8, len(data)))))

            assert table(play(self.make_relay(), self._whole(), self.answer, cut)) == whole, f"seed {seed}"

    def test_garbage_is_the_peers_error_and_nothing_else(self) -> None:
        for seed in range(GARBAGE_RUNS):
            dice = random.Random(seed)  # noqa: S311
            script = list(self._whole())
            at = dice.randrange(len(script) + 1)
            side = dice.choice((CLIENT, UPSTREAM)) if at >= len(self.opening) else CLIENT
            script[at:] = [Say(side, dice.randbytes(GARBAGE_LENGTH)), Say(side, b"")]
            try:
                play(
                    self.make_relay(),
                    script,
                    self.answer,
                    lambda data: chunked(data, range(0, len(data), 701)),
                )
            except RemoteProtocolError:
                continue

    # -- 1 to 4: with the core's pump --------------------------------------------------------------------

    async def test_early_data_is_held_then_forwarded_once(self) -> None:
        if not self.early:
            pytest.fail("this contract needs `early`")
        held = play(self.make_relay(), [Say(CLIENT, self.opening[0].data + self.early)], self.answer)
        assert self.early not in held.received[UPSTREAM], "forwarded before the target was ready"
        script = [Say(CLIENT, self.opening[0].data + self.early), *self.opening[1:]]
        later = play(self.make_relay(), script, self.answer)
        assert later.received[UPSTREAM].count(self.early) == 1, "early data must arrive exactly once"

    async def test_a_broken_recorder_stops_forwarding(self) -> None:
        async with self._running() as run:
            run.door.recorder.broken = True
            await run.say(self.talk[0])
            await run.ended.wait()
            assert run.received(UPSTREAM) == b"", "bytes went on that were not recorded"
            assert "recording" in run.reason

    async def test_a_full_recorder_stops_reading(self) -> None:
        async with self._running() as run:
            run.door.recorder.full = True
            first = next(say for say in self.talk if say.side is CLIENT)
            await run.say(first)  # the read that was already waiting may still take this one
            await trio.testing.wait_all_tasks_blocked()
            await run.say(first)
            await trio.testing.wait_all_tasks_blocked()
            assert run.unread(CLIENT) > 0, (
                "a full recorder must stop reading, and leave bytes with the kernel"
            )
            run.door.recorder.full = False
            run.door.recorder.emptied.set()

    async def test_nothing_goes_on_before_it_is_on_disk_when_durability_waits(self) -> None:
        async with self._running(waits=True) as run:
            first = next(say for say in self.talk if say.side is CLIENT)
            await run.say(first)
            await trio.testing.wait_all_tasks_blocked()
            assert run.received(UPSTREAM) == b""
            run.door.recorder.on_disk.set()
            await run.until(UPSTREAM, len(first.data))

    async def test_what_a_mask_changed_is_recorded_and_sent(self) -> None:
        plain, masked = self.maskable
        assert plain
        assert len(plain) == len(masked)

        def stage(frame: Frame) -> Frame:
            frame.data = frame.data.replace(plain, masked)
            return frame

        async with self._running(stage=stage) as run:
            for say in self.talk:
                await run.say(say)
                if plain in say.data:
                    break
            await run.until_contains(CLIENT, masked)
            assert plain not in run.received(CLIENT)
            assert plain not in run.door.recorder.wire(1)
            assert masked in run.door.recorder.wire(1)

    async def test_a_refused_request_never_reaches_the_target(self) -> None:
        refusing = Decision.deny("not today", rule="no-questions")
        async with self._running(decision=refusing) as run:
            asking = next(say for say in self.talk if say.side is CLIENT)
            await run.say(asking)
            await trio.testing.wait_all_tasks_blocked()
            assert asking.data not in run.received(UPSTREAM)
            assert any(frame.kind == "decision" for frame in run.door.recorder.frames)

    async def test_cancelling_seals(self) -> None:
        async with self._running() as run:
            run.cancel()
            await run.ended.wait()
        assert run.door.recorder.closed_with is not None

    def _running(
        self, *, waits: bool = False, stage: object = None, decision: Decision | None = None
    ) -> RunningRelay:
        return RunningRelay(self, waits=waits, stage=stage, decision=decision)
