"""Look for what should not be sent: secrets that are pasted where they do not belong.

The same masks look, where they say `input: watch` or `input: block`; an `except:` is about what people see and does not
count here. Pure: the clock is passed in with the masks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from recgate.decisions import ALLOW, UNKEPT, Decision, Effect
from recgate.mask.masking import Hit, MaskFailed, Masking

if TYPE_CHECKING:
    from recgate.providers import PolicyRequest
    from recgate.sansio.frames import Request

__all__ = ["InputPolicy", "Inputs", "Pasted"]

MAX_REMEMBERED: Final = 256  # texts of one session that were looked through
UNSEEN: Final = "•••"  # stands for a text that nobody could look through


@dataclass(frozen=True, slots=True)
class Pasted:
    """Something was found: by which rule (`MASK.RULE`), where, how often, and whether it is kept from the target."""

    rule: str
    place: str
    count: int
    blocked: bool

    @property
    def body(self) -> dict[str, object]:
        """As a `secret` frame has it: never the value."""
        return {"rule": self.rule, "place": self.place, "count": self.count, "blocked": self.blocked}


class Inputs:
    """What is looked for in one session's input. A finder, so that a stream may be looked through with it."""

    __slots__ = ("_blocking", "_masking", "blocks")

    def __init__(self, masking: Masking, blocking: frozenset[str]) -> None:
        """`blocking` names the masks whose finds do not reach the target."""
        self._masking = masking
        self._blocking = blocking
        self.blocks = bool(blocking)

    def find(self, value: bytes, *, final: bool = True) -> list[Hit]:
        """Give the hits. Raises `MaskFailed`."""
        return self._masking.find(value, final=final)

    def growing(self, data: bytes) -> int:
        """Give the offset from which on more may become a value."""
        return self._masking.growing(data)

    def blocked(self, rule: str) -> bool:
        """Whether what a rule found is kept from the target."""
        return rule.partition(".")[0] in self._blocking

    def look(self, values: Mapping[str, Iterable[str]]) -> list[Pasted]:
        """Look through texts by the place they stand in. Raises `MaskFailed`."""
        found = Counter(
            (hit.rule, place)
            for place, texts in values.items()
            for text in texts
            for hit in self.find(text.encode("utf-8", "surrogatepass"))
        )
        return [Pasted(rule, place, count, self.blocked(rule)) for (rule, place), count in found.items()]

    def hidden(self, text: str) -> str:
        """Give a text without what is looked for in it, for what is kept of it."""
        data = text.encode("utf-8", "surrogatepass")
        parts: list[bytes] = []
        position = 0
        try:
            hits = self.find(data)
        except MaskFailed:
            return UNSEEN
        for hit in hits:
            parts += data[position : hit.start], hit.replacer.text(data[hit.start : hit.end])
            position = hit.end
        return b"".join((*parts, data[position:])).decode("utf-8", "replace")


class InputPolicy:
    """The policy of a session with such masks: tells of what it finds in statements and commands, and may refuse it.

    What it cannot look through (`MaskFailed`) is refused by whoever asks it, as any policy's doubt is.
    """

    name = "masks"

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._seen: dict[tuple[str, str], list[Pasted]] = {}

    def decide(self, request: PolicyRequest) -> Decision:
        """Deny what holds something that is blocked."""
        asked = request.request
        if asked.kind not in ("sql", "shell") or (_typed(asked) and not self._inputs.blocks):
            return ALLOW
        found = self._of_text(asked, request)
        binds = cast("Sequence[str | None]", asked.details.get("binds") or ())
        if binds:
            in_binds = self._inputs.look({"binds": [each for each in binds if each]})
            for each in in_binds:
                request.session.pasted(each)
            found = [*found, *in_binds]
        blocked = sorted({each.rule for each in found if each.blocked})
        if not blocked:
            return ALLOW
        reason = "a secret stands in it; it has not been sent"
        return Decision(Effect.DENY, ", ".join(blocked), reason, code=UNKEPT)

    def _of_text(self, asked: Request, request: PolicyRequest) -> list[Pasted]:
        """Look through a text, and tell of it once: a prepared statement is asked about at every execution."""
        key = (asked.kind, asked.text)
        known = self._seen.get(key)
        if known is not None:
            return known
        found = self._inputs.look({"statement" if asked.kind == "sql" else "command": (asked.text,)})
        for each in found:
            request.session.pasted(each)
        if len(self._seen) >= MAX_REMEMBERED:
            self._seen.clear()
        if len(asked.text) <= 4096:
            self._seen[key] = found
        return found

    def judges(self, kind: str) -> bool:
        """Statements and commands."""
        return kind in ("sql", "shell")


def _typed(request: Request) -> bool:
    # A terminal's keys have been looked through already when a command is read off its line.
    return request.details.get("type") == "command"
