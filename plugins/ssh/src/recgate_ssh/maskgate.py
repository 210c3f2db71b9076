"""Mask what a program on a channel shows, as it flows: held back a moment where a value may still be coming.

What a person sees of their own typing must not lag; other output may wait a little longer. A masker's doubt ends the
channel, with nothing of what was in doubt on it.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from recgate.mask import Masking
from recgate.mask.keeping import Kept
from recgate.mask.masking import MaskFailed
from recgate.mask.streaming import MaskedSpan
from recgate.sansio.frames import CLIENT, UPSTREAM, Frame
from recgate_ssh.outputmask import OutputMasker

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["AFTER_KEY", "KEY_HOLD", "OTHER_HOLD", "MaskGate"]

AFTER_KEY: Final = 0.050  # seconds after a keystroke in which output is taken for its echo
KEY_HOLD: Final = 0.005  # seconds that an echo is held
OTHER_HOLD: Final = 0.050  # seconds that other output is held


class MaskGate:
    """Masks stdout and stderr of one channel."""

    def __init__(self, bridge: Bridge, masking: Masking) -> None:
        self._bridge = bridge
        self._keeps = masking.keeps
        self._maskers = (
            OutputMasker(masking, keeps=masking.keeps),
            OutputMasker(masking, keeps=masking.keeps),
        )
        self._since = [0.0, 0.0]  # when what is held began to wait
        self._keyed = float("-inf")
        self._waiting = False
        self._failed = False

    def attach(self) -> None:
        """Stand in the channel."""
        near, far = self._bridge.ends[CLIENT], self._bridge.ends[UPSTREAM]
        far.through, far.settle = self.shown, self.flush
        if self._bridge.pty:
            onward = near.through or near.pass_on

            def typed(data: bytes, ext: bool) -> None:
                self._keyed = trio.current_time()
                onward(data, ext)

            near.through = typed

    def shown(self, data: bytes, ext: bool) -> None:
        """Take a read of the target."""
        if self._failed:
            return
        masker = self._maskers[ext]
        waited = masker.held
        try:
            out = masker.feed(data)
        except MaskFailed as exc:
            self._fail(exc)
            return
        self._pass(out, ext)
        if masker.held:
            if not waited or out:
                self._since[ext] = trio.current_time()
            if not self._waiting:
                self._waiting = True
                self._bridge.crossing.spawn(self._later)

    def flush(self) -> None:
        """Let everything go: nothing follows, or something that must not overtake it."""
        for ext in (False, True):
            self._flush(ext)

    def _flush(self, ext: bool) -> None:
        masker = self._maskers[ext]
        if self._failed or not masker.held:
            return
        try:
            out = masker.flush()
        except MaskFailed as exc:
            self._fail(exc)
            return
        self._pass(out, ext)

    async def _later(self) -> None:
        """Let go of what has waited long enough. Cancelled, what is held goes with the session."""
        try:
            while (due := self._due()) is not None:
                await trio.sleep_until(due)
                now = trio.current_time()
                for ext in (False, True):
                    if self._maskers[ext].held and self._since[ext] + self._hold() <= now:
                        self._flush(ext)
        finally:
            self._waiting = False

    def _hold(self) -> float:
        return KEY_HOLD if max(self._since) - self._keyed <= AFTER_KEY else OTHER_HOLD

    def _due(self) -> float | None:
        waiting = [self._since[ext] for ext in (False, True) if self._maskers[ext].held and not self._failed]
        return min(waiting) + self._hold() if waiting else None

    def _pass(self, out: bytes, ext: bool) -> None:
        bridge = self._bridge
        found = self._maskers[ext].take_found()
        if not out:
            return
        frame = Frame(UPSTREAM, "ext" if ext else "data", out, bridge.number)
        deliver = partial(self._deliver, found, ext) if found else bridge.ends[CLIENT].put
        bridge.ends[UPSTREAM].lane.push(frame, deliver)

    def _deliver(self, found: list[MaskedSpan], ext: bool, frame: Frame) -> None:
        """Say behind the frame what was masked in it, then let it go."""
        crossing = self._bridge.crossing
        place = "stderr" if ext else "terminal" if self._bridge.pty else "stdout"
        counted = Counter((span.rule, span.partial, span.more) for span in found)
        for (rule, partial_, more), count in counted.items():
            body: dict[str, object] = {"rule": rule, "place": place, "count": 0 if more else count}
            if partial_:
                body["partial"] = True
            kept = Kept()
            for span in found if self._keeps else ():
                if (span.rule, span.partial, span.more) == (rule, partial_, more):
                    kept.add(span.value)
            crossing.tell("mask", {**body, **kept.facts()}, kept.values)
        if not crossing.stopped:
            self._bridge.ends[CLIENT].put(frame)

    def _fail(self, exc: MaskFailed) -> None:
        self._failed = True
        self._bridge.crossing.note(f"{exc}; the rest of this channel's output is withheld")
        self._bridge.end_with(f"{exc}; the rest of the output is withheld")
