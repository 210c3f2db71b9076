"""Mask what a terminal or a command shows, and leave its colours and cursor movements where they are.

Values are looked for in the text (see `reading`); what is put in their place goes between the sequences that stood in
them. Pure and without a clock: whoever drives it flushes when something has waited as long as it may.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from recgate.mask import Finder, Hit, Judged, MaskedSpan, StreamMasker
from recgate_ssh.reading import JUMP, SPECIAL, STRINGS, Across, Text, text_of

__all__ = ["MAX_RAW", "OutputMasker"]

MAX_RAW: Final = 4096  # bytes held with all the sequences in them; more go out as far as they are known


class OutputMasker:
    """One stream of output. `feed` and `flush` give what may go out now; both raise `MaskFailed`."""

    __slots__ = ("_finder", "_keeps", "_raw", "_stream", "_strings")

    def __init__(self, finder: Finder, *, keeps: bool = False) -> None:
        """With `keeps` what is found says what was there, too."""
        self._finder = finder
        self._keeps = keeps
        self._stream = StreamMasker(Across(finder), keeps=keeps)
        self._raw = b""
        self._strings: list[MaskedSpan] = []

    @property
    def held(self) -> int:
        """How many bytes wait."""
        return len(self._raw)

    def take_found(self) -> list[MaskedSpan]:
        """Give what was masked since the last call."""
        found, self._strings = [*self._stream.take_found(), *self._strings], []
        if self._keeps:
            # Where the cursor jumped is no part of what was shown.
            found = [replace(span, value=span.value.replace(JUMP, b"")) for span in found]
        return found

    def feed(self, data: bytes) -> bytes:
        """Take the next read."""
        out = self._step(self._raw + data, final=False)
        return out + self.flush() if len(self._raw) > MAX_RAW else out

    def flush(self) -> bytes:
        """Give what is held: it has waited as long as it may, or nothing follows."""
        return self._step(self._raw, final=True)

    def _step(self, raw: bytes, *, final: bool) -> bytes:
        if b"\x1b" in raw:
            raw = STRINGS.sub(lambda match: self._string(match[1], match[2], match[3]), raw)
        text = text_of(raw, final=final)
        judged = self._stream.judge(text.plain, final=final)
        cut = judged.cut - judged.already
        end = text.used
        if cut < len(text.plain):
            end = cut if text.where is None else text.where[cut]
        self._raw = raw[end:]
        return _written(raw, end, text, judged)

    def _string(self, begin: bytes, said: bytes, end: bytes) -> bytes:
        """Mask the text of a title or link, which stands by itself."""
        parts: list[bytes] = []
        position = 0
        for hit in self._finder.find(said):
            parts += said[position : hit.start], hit.replacer.text(said[hit.start : hit.end])
            position = hit.end
            kept = said[hit.start : hit.end] if self._keeps else b""
            self._strings.append(MaskedSpan(hit.rule, partial=False, value=kept))
        return b"".join((begin, *parts, said[position:], end))


def _written(raw: bytes, end: int, text: Text, judged: Judged) -> bytes:
    already, where = judged.already, text.where
    parts: list[bytes] = []
    position = 0
    for hit in judged.hits:
        begins, ends = max(hit.start, already) - already, min(hit.end, judged.cut) - already
        if begins >= ends:
            continue
        first = begins if where is None else where[begins]
        # Up to what is shown next: what was drawn over belongs to it.
        last = min(end, ends if where is None else where[ends] if ends < len(where) else end)
        parts += raw[position:first], _replaced(hit, text.plain[begins:ends], raw[first:last])
        position = last
    if not position:
        return raw[:end]
    parts.append(raw[position:end])
    return b"".join(parts)


def _replaced(hit: Hit, plain: bytes, raw: bytes) -> bytes:
    """Give what stands in the place of `raw`, which shows `plain`: the replacement, and the sequences in between."""
    new = hit.replacer.text(plain.replace(JUMP, b""))
    if len(raw) == len(plain):
        return new
    between = list(SPECIAL.finditer(raw))
    shown = len(raw) - sum(len(match[0]) for match in between)
    parts: list[bytes] = []
    position = taken = 0
    for match in between:
        count = match.start() - position
        if len(new) == shown:
            parts.append(new[taken : taken + count])
        elif not taken and count:
            parts.append(new)
        taken += count
        if match[0] != b"\b" or len(new) == shown:
            parts.append(match[0])
        position = match.end()
    if len(new) == shown:
        parts.append(new[taken:])
    elif not taken:
        parts.append(new)
    return b"".join(parts)
