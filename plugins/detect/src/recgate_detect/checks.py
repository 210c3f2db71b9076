"""Which parts of what a pattern found are really one: check digits, lengths, ranges, and what stands around it.

A check gets the value and where the pattern matched in it, and gives the spans that count. It looks at a few bytes
around the match at most, so that a value of any size is judged in linear time.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable
from typing import Final

from recgate_detect import nationalids
from recgate_detect.cards import cards_in
from recgate_detect.registries import CALLING_CODES, IBAN_LENGTHS

__all__ = ["CHECKS", "Check", "Span"]

Span = tuple[int, int]
Check = Callable[[bytes, int, int], Iterable[Span]]

DIGITS: Final = frozenset(b"0123456789")
WORD: Final = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
MAX_HEADER: Final = 4096  # characters of a token's header that are decoded
MAX_USERINFO: Final = 200  # bytes of a URL before its host
MAX_KEY: Final = 64 * 1024  # bytes of a private key
MAX_LOCAL: Final = 64  # octets of an e-mail address before the @ (RFC 5321 §4.5.3.1.1)

_BODY: Final = re.compile(rb"[0-9A-Za-z+/=:,.\s\\-]*")
_LAST_LINE: Final = re.compile(rb"-----END [0-9A-Z ]{0,40}KEY[ A-Z]{0,8}-----")


def whole(data: bytes, start: int, end: int) -> Iterable[Span]:
    """Whatever the pattern found."""
    yield start, end


def bounded(data: bytes, start: int, end: int) -> Iterable[Span]:
    """What is not the middle of a longer word."""
    if _outside(data, start, end):
        yield start, end


def _outside(data: bytes, start: int, end: int) -> bool:
    before = start > 0 and data[start - 1] in WORD and data[start] in WORD
    behind = end < len(data) and data[end] in WORD and data[end - 1] in WORD
    return not before and not behind


def _no_number_around(data: bytes, start: int, end: int) -> bool:
    """Whether it is no part of a longer number or date: neither digits nor `-` and digits touch it."""
    if not _outside(data, start, end):
        return False
    if start > 1 and data[start - 1] in b"-./" and data[start - 2] in DIGITS:
        return False
    return not (end + 1 < len(data) and data[end] in b"-./" and data[end + 1] in DIGITS)


def email(data: bytes, start: int, end: int) -> Iterable[Span]:
    """An address, with the bytes before it that are no UTF-8 but its own all the same (another client encoding)."""
    while start > 0 and data[start - 1] >= 0x80:
        start -= 1
    scheme = data.rfind(b"://", max(0, start - MAX_USERINFO), start)
    userinfo = data[scheme + 3 : start] if scheme >= 0 else b""
    if b":" in userinfo and b"/" not in userinfo and b" " not in userinfo:
        return  # user, password and host of a URL
    at = data.rindex(b"@", start, end)
    if at - start > MAX_LOCAL:
        start = at - MAX_LOCAL  # what is longer is no address, but its end may be one
    yield start, end


def iban(data: bytes, start: int, end: int) -> Iterable[Span]:
    """Country, its length, and remainder 1 of ISO/IEC 7064 MOD 97,10."""
    length = IBAN_LENGTHS.get(data[start : start + 2])
    if length is None or (start > 0 and data[start - 1] in WORD):
        return
    found = bytearray()
    position = start
    while position < end and len(found) < length:
        if data[position] != 0x20:
            found.append(data[position])
        position += 1
    if len(found) < length or (position < len(data) and data[position] in WORD):
        return
    if int("".join(str(int(chr(each), 36)) for each in found[4:] + found[:4])) % 97 == 1:
        yield start, position


def ssn(data: bytes, start: int, end: int) -> Iterable[Span]:
    """Ranges that the Social Security Administration gives out, with the same separator twice."""
    area, group, serial = data[start : start + 3], data[start + 4 : start + 6], data[start + 7 : end]
    if data[start + 3] != data[start + 6] or not _no_number_around(data, start, end):
        return
    if area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000":
        yield start, end


def phone(data: bytes, start: int, end: int) -> Iterable[Span]:
    """An international number of a country that exists, or a written form that says its country."""
    if data[start] == 0x2B:
        while end < len(data) and data[end] in WORD and end > start:
            end = _before_group(data, start, end)  # it has run into the number behind it
        digits = bytes(each for each in data[start:end] if each in DIGITS)
        exists = any(digits[:n] in CALLING_CODES for n in (1, 2, 3))
        if 8 <= len(digits) <= 15 and exists and not (start > 0 and data[start - 1] in WORD):
            yield start, end
    elif data[start] == 0x30:
        if _no_number_around(data, start, end):
            yield start, end
    elif _north_american(bytes(each for each in data[start:end] if each in DIGITS)):
        if data[start] == 0x28 and 0x29 not in data[start:end]:
            start += 1
        if _no_number_around(data, start, end):
            yield start, end


def _before_group(data: bytes, start: int, end: int) -> int:
    """Give where the group of digits before the last one ends."""
    while end > start and data[end - 1] in DIGITS:
        end -= 1
    while end > start and data[end - 1] not in DIGITS:
        end -= 1
    return end


def _north_american(digits: bytes) -> bool:
    # No area code has 9 as its middle digit, and neither area nor exchange is a service code N11.
    return len(digits) == 10 and digits[1] != 0x39 and digits[1:3] != b"11" and digits[4:6] != b"11"


def jwt(data: bytes, start: int, end: int) -> Iterable[Span]:
    """A token whose header is JSON and names an algorithm."""
    header = data[start : data.index(b".", start)]
    if len(header) > MAX_HEADER or (start > 0 and data[start - 1] in WORD):
        return
    try:
        said: object = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return
    if isinstance(said, dict) and "alg" in said:
        yield start, end


def private_key(data: bytes, start: int, end: int) -> Iterable[Span]:
    """A key from its first line to its last, or to the end of what can belong to it where that is missing."""
    body = _BODY.match(data, end, end + MAX_KEY)
    assert body is not None
    last = _LAST_LINE.search(data, end, body.end())
    yield start, last.end() if last is not None else body.end()


def _number(valid: Callable[[bytes], bool]) -> Check:
    """Make a check of a number that stands alone, in groups or not, from what says whether its characters are right."""

    def check(data: bytes, start: int, end: int) -> Iterable[Span]:
        alone = _no_number_around(data, start, end)
        if alone and valid(bytes(each for each in data[start:end] if each in WORD)):
            yield start, end

    return check


CHECKS: Final[dict[str, Check]] = {
    "whole": whole,
    "bounded": bounded,
    "email": email,
    "card": cards_in,
    "iban": iban,
    "ssn": ssn,
    "phone": phone,
    "jwt": jwt,
    "private_key": private_key,
    **{name: _number(valid) for name, valid in nationalids.VALID.items()},
}
