"""Which Python codec reads a `client_encoding`: only for showing text, never for deciding where a message ends."""

from __future__ import annotations

import codecs
from typing import Final

__all__ = ["DEFAULT", "ascii_safe", "codec", "decode"]

DEFAULT: Final = "utf-8"
# SQL_ASCII means that the server does not know either; MULE_INTERNAL has no codec. Latin-1 shows every byte.
FALLBACK: Final = "latin-1"

# In these an ASCII byte may be the second half of another character; the server keeps none of them.
_UNSAFE: Final = frozenset(
    (
        "BIG5",
        "GB18030",
        "GBK",
        "JOHAB",
        "SJIS",
        "MSKANJI",
        "SHIFTJIS",
        "WIN932",
        "WINDOWS932",
        "SHIFT_JIS_2004",
        "UHC",
    )
) | {"WIN936", "WINDOWS936", "WIN949", "WINDOWS949", "WIN950", "WINDOWS950", "MULE_INTERNAL"}

_CODECS: Final = {
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "BIG5": "cp950",
    "EUC_CN": "gb2312",
    "EUC_JP": "euc_jp",
    "EUC_JIS_2004": "euc_jis_2004",
    "EUC_KR": "euc_kr",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "JOHAB": "johab",
    "KOI8R": "koi8_r",
    "KOI8U": "koi8_u",
    "SJIS": "cp932",
    "SHIFT_JIS_2004": "shift_jis_2004",
    "UHC": "cp949",
    "WIN866": "cp866",
    "WIN874": "cp874",
    "LATIN1": "latin-1",
    "LATIN2": "iso8859_2",
    "LATIN3": "iso8859_3",
    "LATIN4": "iso8859_4",
    "LATIN5": "iso8859_9",
    "LATIN6": "iso8859_10",
    "LATIN7": "iso8859_13",
    "LATIN8": "iso8859_14",
    "LATIN9": "iso8859_15",
    "LATIN10": "iso8859_16",
    "ISO_8859_5": "iso8859_5",
    "ISO_8859_6": "iso8859_6",
    "ISO_8859_7": "iso8859_7",
    "ISO_8859_8": "iso8859_8",
}


def codec(client_encoding: str) -> str:
    """Give the codec of a `client_encoding` as the server reports it; Latin-1 for one that is not known."""
    name = client_encoding.strip().upper().replace("-", "_")
    known = _CODECS.get(name)
    if known is not None:
        return known
    if name.startswith("WIN") and name[3:].isdigit():
        try:
            return codecs.lookup(f"cp{name[3:]}").name
        except LookupError:
            return FALLBACK
    return FALLBACK


def ascii_safe(client_encoding: bytes, *, utf8: bool) -> bool:
    """Whether every byte below 0x80 is the ASCII character in this encoding; with `utf8` nothing but UTF-8 will do."""
    name = client_encoding.upper().replace(b"-", b"_").decode("ascii", "replace")
    if name in ("UTF8", "UNICODE"):
        return True
    return not utf8 and name not in _UNSAFE


def decode(data: bytes, encoding: str) -> str:
    """Decode for showing; never raises, and bytes that are not of the encoding stay visible as escapes."""
    return data.decode(encoding, "backslashreplace")
