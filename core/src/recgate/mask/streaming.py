"""Mask a stream that comes in pieces: hold back what may still become a value, and no more than that.

Pure and without a clock. Whoever drives it calls `flush` when what is held has waited as long as it may; then it goes
out as it is, and if it turns out to have been the beginning of a value, the rest is masked and noted as `partial`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from recgate.mask.masking import Hit

__all__ = ["MAX_HELD", "Finder", "Judged", "MaskedSpan", "StreamMasker"]

MAX_HELD: Final = 256  # bytes held back while a value is still possible
_KEPT: Final = 256  # bytes of what went out that are remembered, to know a value by its beginning
_HEAD: Final = 96  # bytes of the beginning of a value that goes on over many pieces, such as a private key


@dataclass(frozen=True, slots=True)
class MaskedSpan:
    """One value that was masked; `partial` says that its beginning had left before it was known for one.

    `value` is what of it was taken away here, where originals are kept. A long value goes in pieces, and all but the
    first are `more` of the same.
    """

    rule: str
    partial: bool
    value: bytes = b""
    more: bool = False


class Finder(Protocol):
    """What a stream is looked through with: `Masking`, or something that reads the stream otherwise."""

    def find(self, value: bytes, *, final: bool = True) -> list[Hit]:
        """Give the hits, in order and without overlaps. Raises `MaskFailed`."""
        ...

    def growing(self, data: bytes) -> int:
        """Give the offset from which on more may become a value."""
        ...


class Judged(NamedTuple):
    """What is said of a stream so far: `data` up to `already` went out before, up to `cut` it may go out now."""

    data: bytes
    already: int
    cut: int
    hits: list[Hit]


class StreamMasker:
    """One direction of one stream. `feed` and `flush` give what may go out now, masked."""

    __slots__ = ("_context", "_held", "_keeps", "_masking", "_open", "found")

    def __init__(self, masking: Finder, *, keeps: bool = False) -> None:
        """With `keeps` what is found says what was there, too."""
        self._keeps = keeps
        self._masking = masking
        self._context = b""  # the end of what went out, unmasked
        self._held = b""
        self._open = ""  # the rule of a value that was still going on when its beginning was masked
        self.found: list[MaskedSpan] = []  # since they were last taken

    @property
    def held(self) -> int:
        """How many bytes wait."""
        return len(self._held)

    def take_found(self) -> list[MaskedSpan]:
        """Give what was masked since the last call."""
        found, self.found = self.found, []
        return found

    def feed(self, data: bytes) -> bytes:
        """Take the next piece; gives what may go out. Raises `MaskFailed`, and then nothing more may go out."""
        return self._step(self._held + data, final=False)

    def flush(self) -> bytes:
        """Give what is held, masked as far as it is known now: it has waited as long as it may, or nothing follows."""
        return self._step(self._held, final=True)

    def _step(self, fresh: bytes, *, final: bool) -> bytes:
        data, already, cut, hits = self.judge(fresh, final=final)
        self._held = data[cut:]
        return _masked(data, already, cut, hits)

    def judge(self, fresh: bytes, *, final: bool) -> Judged:
        """Say of all that has not gone out yet how far it may and what of it is masked, for who writes it out itself.

        What lies behind `cut` is to be given again with the next call. Raises `MaskFailed`.
        """
        context = self._context
        data = context + fresh
        already = len(context)
        hits = self._masking.find(data, final=final)
        cut = len(data) if final else max(self._growing(data, already), already)
        if len(data) - cut > MAX_HELD:
            cut = len(data) - MAX_HELD
        for hit in hits:
            # A value goes out whole or not at all, unless it is longer than what may be held.
            if hit.start < cut < hit.end:
                cut = hit.start if len(data) - hit.start <= MAX_HELD and hit.start >= already else len(data)
        for hit in hits:
            if hit.end > already and hit.start < cut:
                self._note(hit, data[max(hit.start, already) : min(hit.end, cut)], hit.start < already)
        self._remember(data, cut, hits)
        return Judged(data, already, cut, hits)

    def _note(self, hit: Hit, value: bytes, begun: bool) -> None:
        """Tell of a value, once however many pieces it comes in; of each piece where they are kept."""
        more = begun and self._open == hit.rule
        if self._keeps:
            self.found.append(MaskedSpan(hit.rule, begun and not more, value, more))
        elif not more:
            self.found.append(MaskedSpan(hit.rule, begun))

    def _growing(self, data: bytes, already: int) -> int:
        growing = self._masking.growing(data)
        return growing if growing >= already else already

    def _remember(self, data: bytes, cut: int, hits: list[Hit]) -> None:
        going_on = next((hit for hit in hits if hit.start < cut and hit.end >= cut and cut > 0), None)
        self._open = going_on.rule if going_on is not None else ""
        if going_on is not None and cut - going_on.start > _KEPT:
            # Its beginning says what it is; what is between is as good as not there.
            self._context = data[going_on.start : going_on.start + _HEAD]
        else:
            self._context = data[max(0, cut - _KEPT) : cut]


def _masked(data: bytes, start: int, cut: int, hits: list[Hit]) -> bytes:
    parts: list[bytes] = []
    position = start
    for hit in hits:
        if hit.end <= start or hit.start >= cut:
            continue
        begins, ends = max(hit.start, start), min(hit.end, cut)
        parts += data[position:begins], hit.replacer.text(data[begins:ends])
        position = ends
    parts.append(data[position:cut])
    return b"".join(parts)
