"""Binary formats of the built-in scalar types, as the server's own text output would show them.

Each decoder raises `struct.error`, `ValueError`, `IndexError` or `OverflowError` for bytes that are not of its type.
"""

from __future__ import annotations

import ipaddress
import struct
import uuid
from collections.abc import Callable
from typing import Final

__all__ = ["SCALARS"]

EPOCH_DAYS: Final = 730_425  # from 0000-03-01 to 2000-01-01, the server's epoch, in the proleptic calendar
DAY: Final = 86_400_000_000  # µs


def _number(code: str) -> Callable[[bytes], str]:
    unpack = struct.Struct(f"!{code}").unpack
    return lambda value: str(unpack(value)[0])


def _bool(value: bytes) -> str:
    (truth,) = struct.unpack("!?", value)
    return "t" if truth else "f"


def _plain(number: float, text: str) -> str:
    if number != number:
        return "NaN"
    if number in (float("inf"), float("-inf")):
        return "Infinity" if number > 0 else "-Infinity"
    return text.removesuffix(".0")


def _float8(value: bytes) -> str:
    (number,) = struct.unpack("!d", value)
    return _plain(number, repr(number))


def _float4(value: bytes) -> str:
    (number,) = struct.unpack("!f", value)
    for digits in range(6, 10):  # the shortest that reads back as the same float4
        text = f"{number:.{digits}g}"
        if number == number and abs(number) != float("inf") and struct.pack("!f", float(text)) == value:
            return _plain(number, text)
    return _plain(number, repr(number))


def _numeric(value: bytes) -> str:
    count, weight, sign, scale = struct.unpack_from("!HhHH", value, 0)
    special = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}.get(sign)
    if special is not None:
        return special
    digits = struct.unpack_from(f"!{count}H", value, 8)
    if any(digit > 9_999 for digit in digits) or sign not in (0, 0x4000) or scale > 0x3FFF:
        raise ValueError("not a numeric")
    text = "".join(f"{digit:04}" for digit in digits)
    whole = 4 * (weight + 1)
    if whole > 0:
        before, after = text[:whole].ljust(whole, "0").lstrip("0"), text[whole:]
    else:
        before, after = "", "0" * -whole + text
    shown = (before or "0") + ("." + after[:scale].ljust(scale, "0") if scale else "")
    return "-" + shown if sign else shown


def _date_text(days: int) -> str:
    # Days to a civil date without datetime's limits (the server knows 4713 BC to 5874897 AD).
    days += EPOCH_DAYS
    era, day_of_era = divmod(days, 146_097)
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    year += 400 * era + (month <= 2)
    if year <= 0:
        return f"{1 - year:04}-{month:02}-{day:02} BC"
    return f"{year:04}-{month:02}-{day:02}"


def _date(value: bytes) -> str:
    (days,) = struct.unpack("!i", value)
    if days in (0x7FFFFFFF, -0x80000000):
        return "infinity" if days > 0 else "-infinity"
    return _date_text(days)


def _clock(micros: int) -> str:
    seconds, micros = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{text}.{micros:06}".rstrip("0") if micros else text


def _time(value: bytes) -> str:
    return _clock(struct.unpack("!q", value)[0])


def _timetz(value: bytes) -> str:
    micros, west = struct.unpack("!qi", value)
    east = abs(west)
    zone = f"{'-' if west > 0 else '+'}{east // 3600:02}"
    return _clock(micros) + zone + (f":{east // 60 % 60:02}" if east % 3600 else "")


def _timestamp(value: bytes) -> str:
    (micros,) = struct.unpack("!q", value)
    if micros in (0x7FFFFFFFFFFFFFFF, -0x8000000000000000):
        return "infinity" if micros > 0 else "-infinity"
    days, rest = divmod(micros, DAY)
    date = _date_text(days)
    bare = date.removesuffix(" BC")
    return f"{bare} {_clock(rest)}{date[len(bare) :]}"


def _timestamptz(value: bytes) -> str:
    text = _timestamp(value)
    if text.endswith("infinity"):
        return text
    bare = text.removesuffix(" BC")
    return f"{bare}+00{text[len(bare) :]}"


def _interval(value: bytes) -> str:
    micros, days, months = struct.unpack("!qii", value)
    years, months = int(months / 12), months - 12 * int(months / 12)
    parts = [
        f"{n} {word}{'' if n == 1 else 's'}"
        for n, word in ((years, "year"), (months, "mon"), (days, "day"))
        if n
    ]
    if micros or not parts:
        parts.append(("-" if micros < 0 else "") + _clock(abs(micros)))
    return " ".join(parts)


def _inet(value: bytes) -> str:
    bits, is_cidr, length = value[1], value[2], value[3]
    address = ipaddress.ip_address(value[4 : 4 + length])
    return f"{address}/{bits}" if is_cidr or bits != address.max_prefixlen else str(address)


def _mac(value: bytes) -> str:
    if len(value) not in (6, 8):
        raise ValueError(len(value))
    return value.hex(":")


def _bits(value: bytes) -> str:
    (count,) = struct.unpack_from("!i", value, 0)
    if not 0 <= count <= 8 * (len(value) - 4):
        raise ValueError(count)
    return "".join(f"{byte:08b}" for byte in value[4:])[:count]


def _uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes=value))


def _lsn(value: bytes) -> str:
    high, low = struct.unpack("!II", value)
    return f"{high:X}/{low:X}"


def _tid(value: bytes) -> str:
    block, offset = struct.unpack("!IH", value)
    return f"({block},{offset})"


def _money(value: bytes) -> str:
    (cents,) = struct.unpack("!q", value)
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02}"


def _floats(value: bytes) -> list[str]:
    return [_plain(number, repr(number)) for (number,) in struct.iter_unpack("!d", value)]


def _point(value: bytes) -> str:
    x, y = _floats(value)
    return f"({x},{y})"


def _points(value: bytes) -> list[str]:
    if len(value) % 16:
        raise ValueError(len(value))
    return [_point(value[at : at + 16]) for at in range(0, len(value), 16)]


def _circle(value: bytes) -> str:
    (radius,) = _floats(value[16:])
    return f"<{_point(value[:16])},{radius}>"


def _path(value: bytes) -> str:
    inner = ",".join(_points(value[5:]))
    return f"({inner})" if value[0] else f"[{inner}]"


_UNSIGNED: Final = (24, 26, 28, 29, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096)

SCALARS: Final[dict[int, Callable[[bytes], str]]] = {
    16: _bool,
    17: lambda value: "\\x" + value.hex(),
    20: _number("q"),
    21: _number("h"),
    23: _number("i"),
    27: _tid,
    600: _point,
    601: lambda value: "[" + ",".join(_points(value)) + "]",
    602: _path,
    603: lambda value: ",".join(_points(value)),
    604: lambda value: "(" + ",".join(_points(value[4:])) + ")",
    628: lambda value: "{" + ",".join(_floats(value)) + "}",
    650: _inet,
    700: _float4,
    701: _float8,
    718: _circle,
    774: _mac,
    790: _money,
    829: _mac,
    869: _inet,
    1082: _date,
    1083: _time,
    1114: _timestamp,
    1184: _timestamptz,
    1186: _interval,
    1266: _timetz,
    1560: _bits,
    1562: _bits,
    1700: _numeric,
    2950: _uuid,
    3220: _lsn,
    5069: _number("Q"),
    **dict.fromkeys(_UNSIGNED, _number("I")),
}
