"""Prepare a password as both ends of SCRAM must (RFC 4013, the SASLprep profile of stringprep)."""

from __future__ import annotations

import stringprep
import unicodedata

__all__ = ["saslprep"]

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def saslprep(password: bytes) -> bytes:
    """Normalise a password, or give it as it is when it is no text that RFC 4013 allows: so does the server."""
    if password.isascii():
        return password
    try:
        text = password.decode()
    except UnicodeDecodeError:
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if (
        not prepared
        or any(test(char) for char in prepared for test in _PROHIBITED)
        or _mixes_direction(prepared)
    ):
        return password
    return prepared.encode()


def _mixes_direction(text: str) -> bool:
    # RFC 3454 §6: right-to-left text begins and ends with such a character and holds no left-to-right one.
    rtl = [stringprep.in_table_d1(char) for char in text]
    if not any(rtl):
        return False
    return not (rtl[0] and rtl[-1]) or any(stringprep.in_table_d2(char) for char in text)
