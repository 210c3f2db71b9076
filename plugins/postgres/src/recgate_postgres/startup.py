"""The client's first packet: which version it speaks, who it says it is, which database it wants (55.2.1, 55.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate_postgres.encodings import decode

__all__ = ["MAX_STARTUP", "NEWEST_MINOR", "Startup", "parse_startup", "route_details"]

MAX_STARTUP: Final = 10_000  # the server's own MAX_STARTUP_PACKET_LENGTH
NEWEST_MINOR: Final = 2

MAX_PARAMETERS: Final = 64  # that are recorded one by one; a client library sends five
MAX_NAME: Final = 63  # characters of a name: what the server has room for
MAX_VALUE: Final = 1_000  # characters of a value
HIDDEN: Final = "•••"  # for a value whose name says that it is a secret

_TOLD: Final = frozenset((b"application_name", b"options", b"replication"))
_SECRET: Final = re.compile(r"passw|pwd|secret|token|credential|api_?key|private", re.IGNORECASE)
_SECRET_OPTION: Final = re.compile(
    rf"([\w.-]*(?:{_SECRET.pattern})[\w.-]*\s*=)(?:\\.|[^\s\\])+", re.IGNORECASE | re.DOTALL
)
# `PGOPTIONS='-c recgate.reason=INC-42'`: the server takes a dotted name that it does not know. Blanks are escaped.
_REASON: Final = re.compile(r"(?:^|\s)(?:-c\s*|--)recgate\.reason=((?:\\.|[^\s\\])+)", re.DOTALL)
_OFF: Final = frozenset((b"", b"0", b"off", b"false", b"no", b"f", b"n"))


@dataclass(frozen=True, slots=True)
class Startup:
    """A StartupMessage. `minor` is what will be spoken, `unknown` the protocol options that will not be.

    `parameters` are run-time parameters to forward as they came.
    """

    minor: int
    user: str
    database: str
    replication: bool = False
    negotiated: bool = False
    unknown: tuple[bytes, ...] = ()
    parameters: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])


def parse_startup(body: bytes) -> Startup:
    """Take a StartupMessage apart, given from its version on.

    Raises:
        RemoteProtocolError: another major version, malformed, or without a user.
    """
    major, minor = int.from_bytes(body[:2]), int.from_bytes(body[2:4])
    if major != 3:
        reason = f"unsupported frontend protocol {major}.{minor}: the gateway speaks 3.0 to 3.{NEWEST_MINOR}"
        raise RemoteProtocolError(reason, hint="0A000")
    if body[-1:] != b"\0" or body[4:] == b"":
        raise RemoteProtocolError(
            "invalid startup packet layout: expected terminator as last byte", hint="08P01"
        )
    parts = body[4:-1].split(b"\0")
    # Names and values alternate, each with its NUL: an odd count of them is what the last NUL leaves over.
    if parts.pop() or len(parts) % 2:
        raise RemoteProtocolError("invalid startup packet layout: expected names and values", hint="08P01")
    pairs = list(zip(parts[::2], parts[1::2], strict=True))
    parameters = dict(pairs)
    if len(parameters) != len(pairs) or b"" in parameters:
        # Two of a name: which one counts would be for each reader to say.
        raise RemoteProtocolError("invalid startup packet: a parameter is given twice", hint="08P01")
    unknown = tuple(name for name in parameters if name.startswith(b"_pq_."))
    for name in unknown:
        del parameters[name]
    try:
        user = parameters.pop(b"user", b"").decode()
        database = parameters.pop(b"database", b"").decode()
    except UnicodeDecodeError:
        raise RemoteProtocolError("user and database are to be in UTF-8", hint="28000") from None
    if not user:
        raise RemoteProtocolError("no PostgreSQL user name specified in startup packet", hint="28000")
    replication = parameters.pop(b"replication", b"")
    if wanted := replication.lower() not in _OFF:
        parameters[b"replication"] = replication
    spoken = min(minor, NEWEST_MINOR)
    return Startup(spoken, user, database, wanted, spoken != minor or bool(unknown), unknown, parameters)


def route_details(startup: Startup) -> dict[str, str]:
    """Give what a client's start-up says of where it wants to go and how, for policy and recording."""
    details = {"database": startup.database, "login": startup.user, "protocol": f"3.{startup.minor}"}
    application = startup.parameters.get(b"application_name")
    if application:
        details["application_name"] = decode(application, "utf-8")
    options = startup.parameters.get(b"options")
    if options:
        details["options"] = _SECRET_OPTION.sub(rf"\1{HIDDEN}", decode(options, "utf-8"))
        if (said := _REASON.search(decode(options, "utf-8"))) is not None:
            details["reason"] = re.sub(r"\\(.)", r"\1", said[1], flags=re.DOTALL)[:MAX_VALUE]
    if startup.replication:
        details["replication"] = "yes"
    details.update(_settings(startup))
    return details


def _settings(startup: Startup) -> dict[str, str]:
    """Give what else a client sets for its session, which no statement shows: `parameter.NAME`, in its order.

    The prefix keeps a parameter that is called `login` from passing for one.
    """
    named = [name for name in startup.parameters if name not in _TOLD]
    found: dict[str, str] = {}
    for name in named[:MAX_PARAMETERS]:
        value = decode(startup.parameters[name], "utf-8")
        if len(value) > MAX_VALUE:
            value = f"{value[:MAX_VALUE]}… ({len(value)} characters)"
        word = decode(name, "utf-8")[:MAX_NAME]
        found[f"parameter.{word}"] = HIDDEN if _SECRET.search(word) else value
    if len(named) > MAX_PARAMETERS:
        found["parameters_left_out"] = str(len(named) - MAX_PARAMETERS)
    return found
