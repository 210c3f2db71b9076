"""The brake of one SSH channel: bytes up to the line go on, what waits keeps its order, what is refused ends it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import trio

from recgate.decisions import ALLOW, Decision, Effect
from recgate.policy.braking import Brake
from recgate.sansio.frames import UPSTREAM, Request
from recgate_ssh.brakegate import BrakeGate

NO = Decision.deny("enough", rule="brake")


class Channel:
    """A bridge and its session, as far as a brake looks: `says` is what the rules say at each line."""

    def __init__(self, *says: Decision, at: tuple[int, ...] = (11,)) -> None:
        self.brake = Brake(values={"bytes": at})
        self.says = list(says)
        self.out: list[object] = []
        self.judged: list[tuple[int, str]] = []
        self.answers: list[Decision] = []
        self.asked = trio.Event()
        self.answered = trio.Event()
        self.tasks: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.number, self.stopped, self.paused = 1, False, False
        self.session = SimpleNamespace(
            judge=self.judge, held=self.held, note_decision=lambda request, decision: self.out.append("noted")
        )
        self.crossing = SimpleNamespace(session=self.session, spawn=self.tasks.append, stopped=False)
        self.ends = {UPSTREAM: SimpleNamespace(pause=self.pause)}
        self.gate = BrakeGate(cast("Any", self), self.brake, lambda data, ext: self.out.append(data))

    def judge(self, crossing: Any) -> Decision:
        self.judged.append((crossing.at.bytes, crossing.decided.request.text))
        return self.says.pop(0)

    async def held(self, request: Request, decision: Decision, crossing: object) -> Decision:
        self.asked.set()
        await self.answered.wait()
        return self.answers.pop(0)

    def pause(self, why: str, yes: bool) -> None:
        self.paused = yes

    def tell(self, text: str) -> None:
        self.out.append(text)

    def stop(self, decision: Decision) -> None:
        self.out.append(decision.reason)

    def feed(self, *pieces: bytes) -> list[object]:
        for piece in pieces:
            self.gate.feed(piece, False)
        return self.out


def test_byte_n_goes_on_and_the_next_does_not() -> None:
    channel = Channel(NO)
    assert channel.feed(b"12345", b"67890", b"x", b"y") == [b"12345", b"67890", "noted", "enough"]
    assert channel.brake.bytes == 10
    channel = Channel(NO)
    assert channel.feed(b"1234567890xyz") == [b"1234567890", "noted", "enough"]


def test_what_is_allowed_goes_on_to_the_next_line() -> None:
    channel = Channel(ALLOW, NO, at=(11, 16))
    assert channel.feed(b"x" * 40) == [b"x" * 10, b"x" * 5, "noted", "enough"]
    assert [at for at, _ in channel.judged] == [11, 16]


def test_it_is_judged_as_what_was_asked_last_on_this_channel() -> None:
    channel = Channel(NO)
    for number, text in ((1, "cat a"), (2, "cat other"), (1, "cat b")):
        channel.brake.let_through(Request("shell", text, number), None, "", channel.brake.now)
    channel.feed(b"x" * 11)
    assert channel.judged == [(11, "cat b")]


async def test_what_is_held_waits_in_order_and_goes_on() -> None:
    hold = Decision(Effect.HOLD, "brake", "waits for bob")
    channel = Channel(hold, hold, at=(11, 21))
    channel.feed(b"x" * 12, b"y" * 12)
    channel.gate.then(lambda: channel.out.append("eof"))
    assert (channel.out, channel.paused) == ([b"x" * 10, "waits for bob"], True)
    channel.answers = [ALLOW, NO]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.tasks.pop())
        await channel.asked.wait()
        channel.answered.set()
    assert channel.out[2:] == [b"xx", b"y" * 8, "waits for bob"]
    await channel.tasks.pop()()
    assert channel.out[5:] == ["enough"]  # and not what stood behind it
    channel.gate.feed(b"z", False)
    assert channel.out[5:] == ["enough"]


async def test_the_end_goes_on_behind_what_was_held() -> None:
    channel = Channel(Decision(Effect.HOLD, "brake", "waits"))
    channel.feed(b"x" * 12)
    channel.gate.then(lambda: channel.out.append("eof"))
    channel.answers = [ALLOW]
    channel.answered.set()
    await channel.tasks.pop()()
    assert (channel.out, channel.paused) == ([b"x" * 10, "waits", b"xx", "eof"], False)
    channel.gate.then(lambda: channel.out.append("close"))
    assert channel.out[-1] == "close"
