"""What gateway and agent say to each other on the control connection: small JSON objects in binary messages.

gateway → agent    {"do": "prove", "version": 1, "gateway": …, "nonce": …}    first of all
agent → gateway    {"agent": …, "signature": …}
gateway → agent    {"do": "welcome"}
gateway → agent    {"do": "dial", "id": …, "target": …, "host": …, "port": …, "within": seconds}
agent → gateway    {"failed": id, "why": …}    or a WebSocket to /api/v1/agent/stream/{id}
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, cast

from recgate.errors import RemoteProtocolError
from recgate.model import TARGET_NAME
from recgate.transcript.neutral import neutralise
from recgate_agent.proof import NONCE, SIGNATURE, decoded, encoded

__all__ = [
    "MAX_MESSAGE",
    "REFUSED",
    "REPLACED",
    "VERSION",
    "WELCOME",
    "Challenge",
    "Dial",
    "Failed",
    "Proof",
    "is_welcome",
]

VERSION: Final = 1
MAX_MESSAGE: Final = 4 << 10  # bytes of a control message
MAX_WHY: Final = 200  # characters of an agent's reason that are kept
MAX_WITHIN: Final = 60.0  # seconds that an agent may be asked to try for
MAX_HOST: Final = 255
MAX_PORT: Final = 65_535

# Close codes for private use (RFC 6455 §7.4.2). After these there is no sense in trying again.
REFUSED: Final = 4403
REPLACED: Final = 4409

WELCOME: Final = b'{"do":"welcome"}'

_STREAM: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def _object(data: bytes) -> dict[str, object]:
    if len(data) > MAX_MESSAGE:
        raise RemoteProtocolError(f"a control message has at most {MAX_MESSAGE} bytes")
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RemoteProtocolError("a control message is one JSON object")
    return cast("dict[str, object]", value)


def _written(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def is_welcome(data: bytes) -> bool:
    """Say whether the gateway lets the agent in. Raises `RemoteProtocolError`."""
    return _object(data).get("do") == "welcome"


def _stream_id(value: object) -> str:
    if not isinstance(value, str) or not _STREAM.match(value):
        raise RemoteProtocolError("not the id of a stream")
    return value


@dataclass(frozen=True, slots=True)
class Challenge:
    """The gateway's first words: who it is, and what is to be signed."""

    gateway: str
    nonce: bytes

    def as_bytes(self) -> bytes:
        """Give the message."""
        return _written(do="prove", version=VERSION, gateway=self.gateway, nonce=encoded(self.nonce))

    @classmethod
    def parse(cls, data: bytes) -> Challenge:
        """Read the message. Raises `RemoteProtocolError`."""
        said = _object(data)
        if said.get("do") != "prove" or said.get("version") != VERSION:
            raise RemoteProtocolError("the gateway speaks another version: install the same recgate on both")
        try:
            return cls(str(said.get("gateway", "")), decoded(said.get("nonce"), NONCE))
        except ValueError as exc:
            raise RemoteProtocolError(f"the nonce is {exc}") from None


@dataclass(frozen=True, slots=True)
class Proof:
    """The agent's answer."""

    agent: str
    signature: bytes

    def as_bytes(self) -> bytes:
        """Give the message."""
        return _written(agent=self.agent, signature=encoded(self.signature))

    @classmethod
    def parse(cls, data: bytes) -> Proof:
        """Read the message. Raises `RemoteProtocolError`."""
        said = _object(data)
        name = said.get("agent")
        if not isinstance(name, str) or not TARGET_NAME.match(name):
            raise RemoteProtocolError("not the name of an agent")
        try:
            return cls(name, decoded(said.get("signature"), SIGNATURE))
        except ValueError as exc:
            raise RemoteProtocolError(f"the signature is {exc}") from None


@dataclass(frozen=True, slots=True)
class Dial:
    """What an agent is asked to connect to, and for which stream. `within` is seconds."""

    stream: str
    target: str
    host: str
    port: int
    within: float

    def as_bytes(self) -> bytes:
        """Give the message."""
        return _written(
            do="dial",
            id=self.stream,
            target=self.target,
            host=self.host,
            port=self.port,
            within=self.within,
        )

    @classmethod
    def parse(cls, data: bytes) -> Dial:
        """Read the message. Raises `RemoteProtocolError`."""
        said = _object(data)
        target, host = said.get("target"), said.get("host")
        port, within = said.get("port"), said.get("within")
        if said.get("do") != "dial" or not isinstance(target, str) or not TARGET_NAME.match(target):
            raise RemoteProtocolError("the gateway asks for something that this agent does not know")
        if not isinstance(host, str) or not 0 < len(host) <= MAX_HOST:
            raise RemoteProtocolError("not a host")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port <= MAX_PORT:
            raise RemoteProtocolError("not a port")
        if not isinstance(within, (int, float)) or not 0 < within <= MAX_WITHIN:
            raise RemoteProtocolError("not a time")
        return cls(_stream_id(said.get("id")), target, host, port, float(within))


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an agent could not connect."""

    stream: str
    why: str

    def as_bytes(self) -> bytes:
        """Give the message."""
        return _written(failed=self.stream, why=self.why[:MAX_WHY])

    @classmethod
    def parse(cls, data: bytes) -> Failed:
        """Read the message. Raises `RemoteProtocolError`. The words come from elsewhere: they are made harmless."""
        said = _object(data)
        why = said.get("why")
        words = neutralise(why[:MAX_WHY]) if isinstance(why, str) else ""
        return cls(_stream_id(said.get("failed")), words or "no reason was given")
