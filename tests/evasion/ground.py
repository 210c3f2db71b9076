"""The ground truth: what stands in the columns, and every shape in which a query could have let it out.

A canary is made of letters that hardly meet elsewhere, so three of them in a row are found wherever they stand: alone,
in pieces, one a column or one a row, reversed, shifted, in hexadecimal, base64, bits, codes, JSON, XML, arrays, bytea.
Digests are not counted: they say nothing but whether two values are equal.
"""

from __future__ import annotations

import base64
import re
import string
from collections.abc import Iterable, Iterator
from itertools import zip_longest

from tests.evasion.wire import Heard, messages

__all__ = ["CANARIES", "leaks"]

# What is seeded, by what it is. No three letters in a row are in English or in a catalog, and none is hexadecimal.
CANARIES = {
    "email": "qzjxkw.vgzqxj@wkgzjq.example",
    "name": "Zvqxkwj Gqzkvxw",
    "card": "4929718830416571",
    "ssn": "536-90-4399",
    "phone": "+447700900461",
    "iban": "DE75512108001245126199",
    "note": "call wqzkxvj at 9 o'clock",
    "token": "ghp_wZqXkVjGzWqKxJvZgQkXwJzVqGkWxZjQvK27",
}
WINDOW = 3  # letters of a canary that are a leak
LONG_WINDOW = 4  # where they are changed: more words of other things look like those
DIGIT_WINDOW = 7  # digits that are: fewer meet by chance in counts and dates

_SESSION = re.compile(rb"\(recgate session [0-9A-Z]{26}\)")
_RARE = re.compile(r"[qzjxkwvgQZJXKWVG]{3,}")
_LETTERS = re.compile(rb"[^A-Za-z]+")
_DIGITS = re.compile(rb"[^0-9]+")
_SHIFTED = str.maketrans(string.ascii_lowercase, string.ascii_lowercase[13:] + string.ascii_lowercase[:13])


def _letters(window: int) -> Iterator[str]:
    for text in CANARIES.values():
        for run in _RARE.findall(text):
            low = run.lower()
            yield from (low[n : n + window] for n in range(len(low) - window + 1))


def _numbers() -> Iterator[str]:
    for text in CANARIES.values():
        digits = re.sub(r"\D", "", text)
        if len(digits) >= DIGIT_WINDOW:
            yield from (digits[n : n + DIGIT_WINDOW] for n in range(len(digits) - DIGIT_WINDOW + 1))


def _base64(word: str) -> Iterator[bytes]:
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + word.encode())
        yield whole[(offset * 8 + 5) // 6 :].rstrip(b"=")[:-1]


def _needles() -> dict[str, set[bytes]]:
    words, long_words, numbers = set(_letters(WINDOW)), set(_letters(LONG_WINDOW)), set(_numbers())
    found: dict[str, set[bytes]] = {
        "plain": {word.encode() for word in words},
        "reversed": {word[::-1].encode() for word in long_words},
        "shifted": {word.translate(_SHIFTED).encode() for word in long_words},
        "number": {number.encode() for number in numbers},
        "number reversed": {number[::-1].encode() for number in numbers},
    }
    runs = {
        run for text in CANARIES.values() for run in re.findall(r"[A-Za-z]{6,}", text) if _RARE.fullmatch(run)
    }
    runs |= {change(run) for run in runs for change in (str.lower, str.upper)}
    long = {run[n : n + 6] for run in runs for n in range(len(run) - 5)}
    found["hexadecimal"] = {piece[n : n + 4].encode().hex().encode() for piece in long for n in range(3)}
    found["hexadecimal"] |= {number.encode().hex().encode() for number in numbers}
    found["base64"] = {shape for piece in long for shape in _base64(piece)}
    found["codes"] = {b",".join(b"%d" % ord(c) for c in piece[:4]) for piece in long}
    found["bits"] = {"".join(f"{ord(c):08b}" for c in piece[:4]).encode() for piece in long}
    return found


NEEDLES = _needles()


def leaks(heard: Heard) -> list[str]:
    """Name the shapes in which something of a canary stands in what the client heard; none is what is wanted."""
    found: set[str] = set()
    for view in _views(heard):
        low = view.lower()
        letters, digits = _LETTERS.sub(b"", low), _DIGITS.sub(b"", view)
        codes = _DIGITS.sub(b",", view)
        for shape in ("plain", "reversed", "shifted"):
            found |= {shape for needle in NEEDLES[shape] if needle in letters}
        for shape in ("number", "number reversed"):
            found |= {shape for needle in NEEDLES[shape] if needle in digits}
        found |= {"hexadecimal" for needle in NEEDLES["hexadecimal"] if needle in low}
        found |= {"base64" for needle in NEEDLES["base64"] if needle in view}
        found |= {"codes" for needle in NEEDLES["codes"] if needle in codes}
        found |= {"bits" for needle in NEEDLES["bits"] if needle in view}
    return sorted(found)


def _views(heard: Heard) -> Iterable[bytes]:
    """Every byte that came; then values put side by side, over rows and down columns, as a reader would put them."""
    yield _SESSION.sub(b"", heard.data)
    rows = heard.rows
    if rows:
        yield b"".join(value or b"" for row in rows for value in row)
        yield b",".join(value or b"" for row in rows for value in row)
        for column in zip_longest(*rows, fillvalue=b""):
            yield b"".join(value or b"" for value in column)
            yield b"".join((value or b"").rjust(2, b"0")[-2:] for value in column)
            # Numbers in binary format: one character's code in each.
            yield b"".join((value or b"")[-1:] for value in column)
    for kind, body in messages(heard.data):
        if kind in b"dV":
            yield body.replace(b"\0", b"")
