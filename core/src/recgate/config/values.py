"""The scalars of a configuration: durations, sizes, addresses, networks, and paths beside the file.

Plugins use these in their own models, so that `10m` and a relative path mean the same everywhere.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema

__all__ = [
    "Bind",
    "ConfiguredPath",
    "Duration",
    "Network",
    "Settings",
    "Size",
    "anchored",
    "check_host",
    "is_loopback",
    "parse_bind",
    "parse_duration",
    "parse_size",
]

M = TypeVar("M", bound=BaseModel)

MAX_DURATION: Final = 100 * 365 * 86_400.0  # seconds; a century, so that time + duration stays a date
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION: Final = re.compile(r"(?:[0-9]{1,12}(?:ms|[smhdw]))+\Z")
_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|[smhdw])")
_SIZES: Final = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}  # fmt: skip
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?([kKMGT]i?B|B|)\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?\Z")


class Settings(BaseModel):
    """Base of every settings and options model: frozen, and a key it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_duration(value: object) -> float:
    """Give seconds for `90s`, `10m`, `1h30m`, `400d`. Raises `ValueError`."""
    if isinstance(value, str) and _DURATION.match(value):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(value))
        if seconds <= MAX_DURATION:
            return seconds
    raise ValueError("should be a duration with a unit, such as 20s, 10m, 8h or 400d")


def parse_size(value: object) -> int:
    """Give bytes for `64KiB`, `256MiB`, `10GB`, or a plain number. Raises `ValueError`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("should be a size, such as 64KiB, 256MiB or 10GB")
    return int(match[1]) * _SIZES[match[2]]


def _duration(value: object, info: ValidationInfo) -> float:
    # Code that builds a model passes seconds; in a file a number without a unit is a guess.
    if isinstance(value, float) and not info.context:
        return value
    return parse_duration(value)


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema(
        {"type": "string", "pattern": "^([0-9]+(ms|[smhdw]))+$", "examples": ["20s", "10m", "400d"]}
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {"type": ["string", "integer"], "pattern": "^[0-9]+ ?([kKMGT]i?B|B)?$", "examples": ["64KiB", "10GB"]}
    ),
]


@dataclass(frozen=True, slots=True)
class Bind:
    """A host and a port. Prints as `host:port`, an IPv6 address in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_bind(value: object, default_port: int | None = None) -> Bind:
    """Take `host:port` or `[v6]:port` apart; without a port `default_port` counts. Raises `ValueError`."""
    wrong = ValueError("should be HOST:PORT, such as 127.0.0.1:2222 or [::1]:2222")
    if isinstance(value, Bind):
        return value
    if not isinstance(value, str) or len(value) > 300:
        raise wrong
    if value.startswith("["):
        host, closed, port = value[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise wrong
        port = port[1:]
    elif value.count(":") > 1:
        raise ValueError("an IPv6 address stands in brackets: [::1]:2222")
    else:
        host, _, port = value.partition(":")
    if not port and default_port is not None and not value.endswith(":"):
        return Bind(check_host(host), default_port)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535):
        raise wrong
    return Bind(check_host(host), int(port))


def check_host(host: str) -> str:
    """Give a host name or address back, or raise `ValueError`."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.match(host):
            raise ValueError(
                "should name a host or an IP address (0.0.0.0 or [::] for every address)"
            ) from None
    return host


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("should be a network such as 10.0.0.0/8 or fd00::/8, without host bits") from None


Network = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network,
    BeforeValidator(_network),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]}),
]


# A relative path in a configuration is meant from the file it stands in, wherever the command was started. The
# reader sees to it for every `Path` in every model (`anchored`), so that no plugin can forget.
ConfiguredPath = Path


def anchored(model: M, base: Path) -> M:
    """Give the model with every path in it, however deep, made absolute from `base`."""
    changes: dict[str, object] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        moved = _anchored(value, base)
        if moved is not value:
            changes[name] = moved
    return model.model_copy(update=changes) if changes else model


def _anchored(value: object, base: Path) -> object:
    if isinstance(value, Path):
        moved = base / value.expanduser()
        return value if moved == value else moved
    if isinstance(value, BaseModel):
        return anchored(value, base)
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        moved_items = tuple(_anchored(item, base) for item in items)
        return items if all(a is b for a, b in zip(items, moved_items, strict=True)) else moved_items
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value)
        moved_pairs = {key: _anchored(item, base) for key, item in pairs.items()}
        return pairs if all(moved_pairs[key] is pairs[key] for key in pairs) else moved_pairs
    return value
