"""The vendor kit for maskers: subclass `MaskerContract`, name what yours finds, and what a mask promises is tested.

class TestMyMasker(MaskerContract):
    def make_masker(self): return MyMasker("pii", ...)
    found = [(b"EMP-123456", "number")]
    harmless = [b"EMPIRE-1"]
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import ClassVar, Final

import pytest

from recgate.providers import Hinting, Masker

__all__ = ["MaskerContract"]

AROUND: Final = ((b"", b""), (b"see ", b" for it"), (b"(", b")"), ("ü: ".encode(), b"\n"))
# Before a value stands its length, behind it the next message: PostgreSQL's DataRow (protocol 55.7).
WIRE: Final = (
    (b"D\0\0\0\x17\0\1\0\0\0\x0d", b"D\0\0"),
    (b"\0\0\0\x30", b"C\0\0\0\x0d"),
    (b"\0\1", b"\t\\N\n"),
)
GARBAGE_RUNS: Final = 200
GARBAGE_LENGTH: Final = 2_000
SMALL, LARGE = 1 << 14, 1 << 17  # bytes of what almost matches


class MaskerContract:
    """What every masker must be. Give `make_masker`, and values that it finds and does not find."""

    found: ClassVar[Sequence[tuple[bytes, str]]] = ()
    """Values that it finds as a whole, each with the rule that finds it."""
    harmless: ClassVar[Sequence[bytes]] = ()
    """Values in which there is nothing."""

    def make_masker(self) -> Masker:
        """A fresh masker, as your hook makes it."""
        raise AssertionError("a MaskerContract says how its masker is made")

    def spans(self, data: bytes) -> list[tuple[int, int, str]]:
        """Ask a fresh masker about one whole value."""
        return list(self.make_masker().spans(data, final=True))

    def test_what_it_finds_is_found_whole_and_wherever_it_stands(self) -> None:
        if not self.found:
            pytest.fail("this contract needs `found`")
        for value, rule in self.found:
            for before, behind in AROUND:
                data = before + value + behind
                hits = [each for each in self.spans(data) if each[2] == rule]
                assert _covered(hits, len(before), len(before) + len(value)), (
                    f"{rule} was not found in {data!r}"
                )

    def test_nothing_is_found_in_what_is_harmless(self) -> None:
        if not self.harmless:
            pytest.fail("this contract needs `harmless`")
        for value in (b"", *self.harmless):
            assert self.spans(value) == [], f"something was found in {value!r}"

    def test_spans_lie_within_the_value_whatever_it_is(self) -> None:
        masker = self.make_masker()
        for seed in range(GARBAGE_RUNS):
            dice = random.Random(seed)  # noqa: S311 - seeded on purpose: a failure names its seed
            pieces = [value for value, _ in self.found] + [dice.randbytes(20), b"\xff\xfe", b"\xc3", b"\0"]
            data = b"".join(dice.choice(pieces)[: dice.randrange(30)] for _ in range(GARBAGE_LENGTH // 15))
            for final in (False, True):
                for start, end, rule in masker.spans(data, final=final):
                    assert 0 <= start < end <= len(data), f"seed {seed}: {start}..{end} of {len(data)}"
                    assert rule, f"seed {seed}: a span without a rule"

    def test_time_is_linear_in_what_almost_matches(self) -> None:
        masker = self.make_masker()
        for value, rule in self.found:
            for piece in (value[: len(value) // 2], value[:-1], value[:1], value):
                spent = [_seconds(masker, piece, size) for size in (SMALL, LARGE)]
                # Eight times as much; in quadratic time it would be sixty-four.
                assert spent[1] < 25 * spent[0] + 0.2, (
                    f"{rule} over {piece!r}: {spent[0]:.3f} s, {spent[1]:.3f} s"
                )

    def test_hints_lead_to_every_value(self) -> None:
        masker = self.make_masker()
        if not isinstance(masker, Hinting):
            return
        for value, rule in self.found:
            for before, behind in (*AROUND, *WIRE):
                data = before + value + behind
                start, end = len(before), len(before) + len(value)
                touched = any(a < end and b > start for a, b in masker.hints(data))
                assert touched, f"no hint leads to the {rule} in {data!r}"

    def test_a_value_that_comes_in_parts_is_waited_for(self) -> None:
        masker = self.make_masker()
        if not isinstance(masker, Hinting):
            return
        for value, rule in self.found:
            for cut in range(1, len(value)):
                data = b"see " + value[:cut]
                assert masker.growing(data) <= len(b"see "), f"{rule}: {data!r} would be let go"


def _covered(spans: Sequence[tuple[int, int, str]], start: int, end: int) -> bool:
    """Say whether the spans together cover start to end."""
    at = start
    for begin, stop, _ in sorted(spans):
        if begin <= at:
            at = max(at, stop)
    return at >= end


def _seconds(masker: Masker, piece: bytes, size: int) -> float:
    data = piece * (size // len(piece)) if piece else b""
    started = time.thread_time()
    for _ in masker.spans(data, final=True):
        pass
    if isinstance(masker, Hinting):
        masker.hints(data)
    return time.thread_time() - started
