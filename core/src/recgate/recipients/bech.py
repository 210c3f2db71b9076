"""Write keys so that people can paste them: Bech32m (BIP 350), whose checksum tells a slip from another key.

There is no limit of 90 characters here, as in age's keys: a post-quantum key is two thousand long. Up to that length
any four wrong characters are noticed; beyond it a slip goes unnoticed once in 2^30.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_TEXT", "BadText", "decode", "encode"]

MAX_TEXT: Final = 4096  # characters; the longest key there is has 1959

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM: Final = 6  # characters
_CONSTANT: Final = 0x2BC830A3


class BadText(ValueError):
    """It is not what it should be; says why, and never repeats any of it: it may be a private key."""


def encode(prefix: str, data: bytes) -> str:
    """Write `data` with its prefix (lower-case letters) and checksum: `PREFIX1…`."""
    values = _regroup(data, 8, 5)
    padded = [*_expanded(prefix), *values, *([0] * _CHECKSUM)]
    check = _polymod(padded) ^ _CONSTANT
    values += [check >> 5 * (_CHECKSUM - 1 - place) & 31 for place in range(_CHECKSUM)]
    return f"{prefix}1{''.join(_ALPHABET[value] for value in values)}"


def decode(text: str) -> tuple[str, bytes]:
    """Give prefix and data. Upper case is taken as well, mixed case is not.

    Raises:
        BadText: it was mistyped, cut, or is something else.
    """
    if len(text) > MAX_TEXT:
        raise BadText(f"is longer than {MAX_TEXT} characters")
    if text.lower() != text and text.upper() != text:
        raise BadText("mixes upper and lower case")
    prefix, one, rest = text.lower().rpartition("1")
    if not one or not prefix.isascii() or not prefix.isalpha() or len(rest) < _CHECKSUM:
        raise BadText("is not a key: it does not begin with a word and 1")
    try:
        values = [_VALUES[letter] for letter in rest]
    except KeyError:
        raise BadText("has a character that no key has") from None
    if _polymod([*_expanded(prefix), *values]) != _CONSTANT:
        raise BadText("is mistyped or cut: its checksum does not fit")
    return prefix, _ungrouped(values[:-_CHECKSUM])


def _expanded(prefix: str) -> list[int]:
    codes = prefix.encode()
    return [code >> 5 for code in codes] + [0] + [code & 31 for code in codes]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check


def _regroup(data: bytes, bits: int, into: int) -> list[int]:
    number = int.from_bytes(data, "big")
    total = len(data) * bits
    padding = -total % into
    number <<= padding
    return [number >> place & (1 << into) - 1 for place in range(total + padding - into, -1, -into)]


def _ungrouped(values: list[int]) -> bytes:
    number = 0
    for value in values:
        number = number << 5 | value
    spare = len(values) * 5 % 8
    if spare >= 5 or number & (1 << spare) - 1:
        # One key has one spelling.
        raise BadText("has bits behind its end")
    return (number >> spare).to_bytes(len(values) * 5 // 8, "big")
