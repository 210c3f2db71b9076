"""Look through what a client types or pastes for secrets, and keep them from the target where that is configured.

A single key goes on at once. A paste is held a moment where a secret may still be coming; one that holds a secret is
dropped whole, with a line that says so, and what of it has left already is cleared from the line.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import trio

from recgate.mask import Inputs, Pasted, StreamMasker
from recgate.mask.masking import MaskFailed
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM, Frame

if TYPE_CHECKING:
    from recgate_ssh.bridge import Bridge

__all__ = ["HOLD", "TYPING", "InputGate"]

HOLD: Final = 0.050  # seconds that a paste is held while a secret may still be coming
TYPING: Final = 8  # bytes of one read up to which it is typing (a key, or a sequence for one) and not a paste

_PASTE, _PASTED, _ERASE = b"\x1b[200~", b"\x1b[201~", b"\x15"


class InputGate:
    """Stands in a channel behind its other gates: nothing that they let through passes it unseen."""

    def __init__(self, bridge: Bridge, inputs: Inputs) -> None:
        self._bridge = bridge
        self._inputs = inputs
        self._stream = StreamMasker(inputs)
        self._held = b""
        self._since = 0.0
        self._left = False  # whether something of this line is at the target
        self._waiting = False
        self._over = False
        self._onward = bridge.ends[CLIENT].pass_on

    def attach(self) -> None:
        """Stand in the channel."""
        near = self._bridge.ends[CLIENT]
        self._onward = near.through or near.pass_on
        near.through, near.settle = self.typed, self.flush

    def typed(self, data: bytes, ext: bool) -> None:
        """Take a read of the client."""
        if ext or self._over:
            return
        single = len(data) <= TYPING and not self._held
        self._step(self._held + data, final=single or not self._inputs.blocks)
        if self._held and not self._waiting:
            self._waiting = True
            self._bridge.crossing.spawn(self._later)

    def flush(self) -> None:
        """Let go of what is held: nothing follows."""
        if self._held:
            self._step(self._held, final=True)

    async def _later(self) -> None:
        """Let go of what has waited long enough. Cancelled, what is held goes with the session."""
        try:
            while self._held:
                await trio.sleep_until(self._since + HOLD)
                if trio.current_time() >= self._since + HOLD:
                    self.flush()
        finally:
            self._waiting = False

    def _step(self, data: bytes, *, final: bool) -> None:
        bridge = self._bridge
        try:
            judged = self._stream.judge(data, final=final)
        except MaskFailed as exc:
            self._over = True
            bridge.end_with(f"{exc}; nothing more of the input is passed on")
            return
        place = "terminal" if bridge.pty else "stdin"
        found = Counter(span.rule for span in self._stream.take_found())
        pasted = [Pasted(rule, place, count, self._inputs.blocked(rule)) for rule, count in found.items()]
        for each in pasted:
            bridge.crossing.pasted(each)
        if any(each.blocked for each in pasted):
            self._block(data, [each.rule for each in pasted if each.blocked])
            return
        cut = judged.cut - judged.already
        self._held = data[cut:]
        self._since = trio.current_time()
        if cut:
            self._left = not data[:cut].endswith((b"\r", b"\n"))
            self._onward(data[:cut], False)

    def _block(self, data: bytes, rules: list[str]) -> None:
        """Drop all of it: what stands around a secret is about it."""
        bridge = self._bridge
        self._held = b""
        self._stream = StreamMasker(self._inputs)
        said = f"{', '.join(rules)}: a secret was pasted here; it has not been sent"
        if not bridge.pty:
            self._over = True
            bridge.end_with(f"{said}, and the input ends")
            return
        bridge.tell_anew(f"{said} (recgate session {bridge.crossing.session.id})")
        clear = _PASTED if _PASTED in data and _PASTE not in data else b""
        if self._left:
            clear += _ERASE
            if bridge.erased is not None:
                bridge.erased()
        if clear:
            frame = Frame(GATEWAY, "data", clear, bridge.number, to=UPSTREAM)
            bridge.ends[CLIENT].lane.push(frame, bridge.ends[UPSTREAM].put)
        self._left = False
