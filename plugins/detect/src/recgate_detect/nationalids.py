"""Numbers that states give to people, by their check digits. Each function takes the characters without separators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

__all__ = ["VALID"]

_DNI_LETTERS: Final = b"TRWAGMYFPDXBNJZSQVHLCKE"
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _weighted(digits: bytes, weights: tuple[int, ...]) -> int:
    return sum(weight * (digit - 0x30) for weight, digit in zip(weights, digits, strict=True))


def de_tax_id(digits: bytes) -> bool:
    """§139b AO: of the first ten digits one stands there twice or thrice, all others once at most; MOD 11,10."""
    if len(digits) != 11 or digits[:1] == b"0":
        return False
    counts = sorted(Counter(digits[:10]).values(), reverse=True)
    if counts[0] not in (2, 3) or counts[1] != 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (digit - 0x30 + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10] - 0x30


def fr_insee(text: bytes) -> bool:
    """Sex, year, month, department, commune, order, and 97 less the remainder of it all."""
    if len(text) != 15:
        return False
    month = int(text[3:5])
    if not (1 <= month <= 12 or 20 <= month <= 42 or 50 <= month <= 99):
        return False
    number = text[:13].replace(b"2A", b"19").replace(b"2B", b"18")
    if not number.isdigit() or not text[13:].isdigit() or text[5:7] == b"00":
        return False
    return 97 - int(number) % 97 == int(text[13:])


def es_dni(text: bytes) -> bool:
    """The letter is the number's remainder by 23; of a foreigner's, X, Y and Z count as 0, 1 and 2."""
    first = b"XYZ".find(text[:1])
    digits = (b"%d" % first if first >= 0 else text[:1]) + text[1:8]
    return len(text) == 9 and digits.isdigit() and _DNI_LETTERS[int(digits) % 23] == text[8]


def nl_bsn(digits: bytes) -> bool:
    """The eleven test, whose last weight is negative."""
    if len(digits) != 9 or digits == b"000000000":
        return False
    return _weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def pl_pesel(digits: bytes) -> bool:
    """A day that exists, its century in the month, and the check digit."""
    if len(digits) != 11:
        return False
    month, day = int(digits[2:4]) % 20, int(digits[4:6])
    if not (1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]):
        return False
    return _weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def uk_nhs(digits: bytes) -> bool:
    """Modulus 11; a remainder that would need the digit 10 is never given out."""
    if len(digits) != 10:
        return False
    check = (11 - _weighted(digits[:9], (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11
    return check == digits[9] - 0x30


VALID: Final[dict[str, Callable[[bytes], bool]]] = {
    "de_tax_id": de_tax_id,
    "fr_insee": fr_insee,
    "es_dni": es_dni,
    "nl_bsn": nl_bsn,
    "pl_pesel": pl_pesel,
    "uk_nhs": uk_nhs,
}
