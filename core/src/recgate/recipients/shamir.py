"""Split a secret so that any k of n people have it together, and fewer know nothing: Shamir's scheme over GF(2^8).

Every byte is the value at 0 of a random polynomial of degree k - 1 (A. Shamir, "How to share a secret", 1979); a share
is its value at another place. The field is that of AES (FIPS 197 §4), without tables, so that no memory access depends
on a secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["MAX_SHARES", "combine", "split"]

MAX_SHARES: Final = 255  # places other than 0
_POLYNOMIAL: Final = 0x11B


def split(
    secret: bytes, threshold: int, count: int, draw: Callable[[int], bytes] = secrets.token_bytes
) -> dict[int, bytes]:
    """Give `count` shares by their places 1, 2, …, each as long as the secret; any `threshold` of them are enough.

    Raises:
        ValueError: there is no such division.
    """
    if not 1 <= threshold <= count <= MAX_SHARES:
        raise ValueError(f"{threshold} of {count} is no division of a secret")
    coefficients = [secret, *(draw(len(secret)) for _ in range(threshold - 1))]
    return {place: _value(coefficients, place) for place in range(1, count + 1)}


def combine(shares: Mapping[int, bytes]) -> bytes:
    """Give the secret back from shares by their places. Too few, or altered ones, give another secret of its length.

    Raises:
        ValueError: they cannot be shares of one secret.
    """
    if not shares or not all(1 <= place <= MAX_SHARES for place in shares):
        raise ValueError("shares stand at places from 1 to 255")
    if len({len(share) for share in shares.values()}) != 1:
        raise ValueError("shares of one secret are of one length")
    secret = bytes(len(next(iter(shares.values()))))
    for place, share in shares.items():
        # Lagrange at 0: the product of x / (x - place) over the other places; subtraction is addition here.
        weight = 1
        for other in shares:
            if other != place:
                weight = _product(weight, _product(other, _inverse(other ^ place)))
        secret = bytes(sum_ ^ _product(weight, byte) for sum_, byte in zip(secret, share, strict=True))
    return secret


def _value(coefficients: list[bytes], place: int) -> bytes:
    value = bytes(len(coefficients[0]))
    for each in reversed(coefficients):
        value = bytes(_product(so_far, place) ^ byte for so_far, byte in zip(value, each, strict=True))
    return value


def _product(one: int, other: int) -> int:
    product = 0
    for _ in range(8):
        product ^= one & -(other & 1)
        one = one << 1 ^ _POLYNOMIAL & -(one >> 7)
        other >>= 1
    return product


def _inverse(value: int) -> int:
    """Give value^254, which is 1 / value."""
    power, square = 1, value
    for _ in range(7):
        square = _product(square, square)
        power = _product(power, square)
    return power
