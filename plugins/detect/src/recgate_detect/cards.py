"""Payment card numbers: issuer ranges and their lengths, the ways in which people write them, and the check digit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["cards_in", "luhn"]

# First digits, how many digits a number of that range has. ISO/IEC 7812-1 gives the form, the networks publish ranges.
_RANGES: Final[tuple[tuple[int, int, frozenset[int]], ...]] = tuple(
    (low, high, frozenset(lengths))
    for low, high, lengths in (
        (4, 4, (13, 16, 19)),  # Visa
        (51, 55, (16,)),  # Mastercard
        (2221, 2720, (16,)),  # Mastercard
        (34, 34, (15,)),  # American Express
        (37, 37, (15,)),  # American Express
        (6011, 6011, (16, 17, 18, 19)),  # Discover
        (644, 649, (16, 17, 18, 19)),  # Discover
        (65, 65, (16, 17, 18, 19)),  # Discover, RuPay
        (60, 60, (16,)),  # RuPay
        (3528, 3589, (16, 17, 18, 19)),  # JCB
        (36, 36, (14, 15, 16, 17, 18, 19)),  # Diners Club
        (300, 305, (14, 16, 17, 18, 19)),  # Diners Club
        (38, 39, (14, 16, 17, 18, 19)),  # Diners Club
        (62, 62, (16, 17, 18, 19)),  # UnionPay
        (2200, 2204, (16, 17, 18, 19)),  # Mir
        (50, 50, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
        (56, 58, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
        (61, 61, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
        (63, 63, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
        (67, 68, (13, 14, 15, 16, 17, 18, 19)),  # Maestro
    )
)
# How many digits stand in each group where there are spaces or dashes, as they are embossed.
_GROUPS: Final = frozenset(
    (
        (4, 4, 4, 4),
        (4, 4, 4, 4, 3),
        (4, 4, 4, 4, 2),
        (4, 4, 4, 4, 1),
        (4, 6, 5),
        (4, 6, 4),
        (4, 4, 4, 1),
        (6, 13),
    )
)
_LONGEST: Final = 5
_WORD: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_DIGITS: Final = frozenset(b"0123456789")
_DOUBLED: Final = bytes(2 * n - 9 * (n > 4) for n in range(10))
_GROUP: Final = re.compile(rb"[0-9]+")


def luhn(digits: bytes) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for n, digit in enumerate(reversed(digits)):
        value = digit - 0x30
        total += _DOUBLED[value] if n & 1 else value
    return total % 10 == 0


def _by_prefix() -> dict[bytes, frozenset[int]]:
    """Give the lengths of each issuer range by every prefix in it."""
    found: dict[bytes, frozenset[int]] = {}
    for low, high, lengths in _RANGES:
        for prefix in range(low, high + 1):
            key = b"%d" % prefix
            found[key] = found.get(key, frozenset()) | lengths
    return found


_LENGTHS: Final = _by_prefix()
_NONE: Final[frozenset[int]] = frozenset()


def _issued(digits: bytes) -> bool:
    length = len(digits)
    return any(length in _LENGTHS.get(digits[:n], _NONE) for n in (1, 2, 3, 4))


def _valid(digits: bytes) -> bool:
    return 13 <= len(digits) <= 19 and _issued(digits) and luhn(digits) and len(set(digits)) > 1


def cards_in(data: bytes, start: int, end: int) -> Iterable[tuple[int, int]]:
    """Give the card numbers in a run of digits, spaces and dashes: one group, or groups as they are embossed."""
    groups = [found.span() for found in _GROUP.finditer(data, start, end)]
    if start > 0 and data[start - 1] in _WORD:
        groups = groups[1:]  # the first one begins inside a word
    elif start > 1 and data[start - 1] == 0x2E and data[start - 2] in _DIGITS:
        groups = groups[1:]  # behind a decimal point
    if groups and end < len(data) and data[end] in _WORD:
        groups.pop()
    at = 0
    while at < len(groups):
        taken = _card_at(data, groups[at : at + _LONGEST])
        if taken:
            yield groups[at][0], groups[at + taken - 1][1]
        at += taken or 1


def _card_at(data: bytes, groups: list[tuple[int, int]]) -> int:
    """How many of these groups, from the first on, are one number; 0 for none."""
    for count in range(len(groups), 1, -1):
        part = groups[:count]
        between = {data[part[n][1]] for n in range(count - 1)}
        embossed = len(between) == 1 and tuple(stop - begin for begin, stop in part) in _GROUPS
        if embossed and _valid(b"".join(data[begin:stop] for begin, stop in part)):
            return count
    begin, stop = groups[0]
    return 1 if stop - begin <= 19 and _valid(data[begin:stop]) else 0
