"""What an agent keeps: its key, and what it was enrolled for. And how it comes by them.

`agent.json` and `key.pem`, 0600, in a directory of their own. The list of targets is the agent's own: whatever the
gateway asks for later, nothing else is connected to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast

import httpx2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate.errors import RecgateError
from recgate.keys.files import make_private_directory, read_private, write_atomically
from recgate.model import TARGET_NAME, Secret
from recgate.transcript.neutral import neutralise
from recgate.websocketclient import gateway_context
from recgate_agent.proof import ENROLL, encoded, looks_like_token, signed, token_hash

__all__ = ["Enrolment", "Home", "NotEnrolled", "enroll"]

PATIENCE: Final = 20.0  # seconds for the gateway's answer
MAX_ANSWER: Final = 256 << 10  # bytes of it
MAX_TARGETS: Final = 1_000


class NotEnrolled(RecgateError):
    """There is nothing to run yet, or what there is is damaged."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Which gateway, by which CA (PEM, or empty for the system's), as whom, and the address of each target."""

    url: str
    ca: str
    gateway: str
    agent: str
    targets: Mapping[str, str]
    key: Ed25519PrivateKey = field(repr=False)


class Home:
    """The directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def _file(self) -> Path:
        return self.directory / "agent.json"

    @property
    def _key(self) -> Path:
        return self.directory / "key.pem"

    def enrolled(self) -> bool:
        """Whether there is an enrolment, good or damaged."""
        return self._file.exists()

    def load(self) -> Enrolment:
        """Give the enrolment. Raises `NotEnrolled`, or `ConfigurationError` when others may read the key."""
        try:
            said: object = json.loads(read_private(self._file))
            key = serialization.load_pem_private_key(read_private(self._key), None)
            if not isinstance(said, dict) or not isinstance(key, Ed25519PrivateKey):
                raise TypeError
            fields = cast("Mapping[str, object]", said)
            targets = cast("Mapping[str, object]", fields["targets"])
            return Enrolment(
                str(fields["url"]),
                str(fields["ca"]),
                str(fields["gateway"]),
                str(fields["agent"]),
                {name: str(address) for name, address in targets.items()},
                key,
            )
        except FileNotFoundError:
            raise NotEnrolled(
                f"{self.directory}: no agent is enrolled here. `recgate agent issue` on the gateway prints a token "
                "for `recgate agent enroll URL`."
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            # `from None`: the decoder's words quote what it read.
            raise NotEnrolled(f"{self.directory}: is damaged. Enrol again with --replace.") from None

    def prepare(self, key: Ed25519PrivateKey) -> None:
        """Write a new key beside the one in use: what cannot be kept is found out before a token is used up."""
        make_private_directory(self.directory)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_atomically(self._draft, pem)

    def keep(self, enrolment: Enrolment) -> None:
        """Keep an enrolment, and take its key, which `prepare` has written, into use."""
        fields = {
            "url": enrolment.url,
            "ca": enrolment.ca,
            "gateway": enrolment.gateway,
            "agent": enrolment.agent,
            "targets": dict(enrolment.targets),
        }
        self._draft.replace(self._key)
        write_atomically(self._file, json.dumps(fields, indent=2).encode() + b"\n")

    def forget_draft(self) -> None:
        """Remove the key of an enrolment that came to nothing."""
        self._draft.unlink(missing_ok=True)

    @property
    def _draft(self) -> Path:
        return self.directory / "key.new"


async def enroll(home: Home, url: str, ca: str, token: Secret) -> Enrolment:
    """Make a key, have the gateway take it for a one-time token, and keep both.

    Args:
        home: where to keep them.
        url: the gateway's address, `https://host:port`.
        ca: what it is believed by (PEM); empty for the system's authorities.
        token: what `recgate agent issue` printed.

    Raises:
        RecgateError: the gateway is not there, did not prove who it is, or does not take the token.
    """
    text = token.reveal().decode("ascii", "replace").strip()
    if not looks_like_token(text):
        raise RecgateError("that is no one-time token: `recgate agent issue` on the gateway prints one")
    context = gateway_context(ca)
    key = Ed25519PrivateKey.generate()
    home.prepare(key)
    try:
        proof = signed(key, ENROLL, "", "", token_hash(text))
        body = {"key": encoded(key.public_key().public_bytes_raw()), "proof": encoded(proof)}
        headers = {"authorization": f"Bearer {text}"}
        answer = bytearray()
        # No proxy from the environment: the agent's connections take none either.
        async with (
            httpx2.AsyncClient(verify=context, timeout=PATIENCE, trust_env=False) as client,
            client.stream("POST", f"{url}/api/v1/agent/enroll", json=body, headers=headers) as response,
        ):
            async for part in response.aiter_bytes():
                answer += part
                if len(answer) > MAX_ANSWER:
                    raise RecgateError(f"{url}: answers without end")
        enrolment = _enrolment(url, ca, key, response.status_code, bytes(answer))
        home.keep(enrolment)
    except httpx2.HTTPError as exc:
        raise RecgateError(f"{url}: {_why(exc)}") from None
    finally:
        home.forget_draft()
    return enrolment


def _enrolment(url: str, ca: str, key: Ed25519PrivateKey, status: int, answer: bytes) -> Enrolment:
    try:
        value: object = json.loads(answer)
    except ValueError:
        value = None
    said = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if status != HTTPStatus.OK:
        words = neutralise(str(said.get("detail", ""))[:500]) or f"answered with status {status}"
        raise RecgateError(f"{url}: {words}")
    gateway, agent, targets = said.get("gateway"), said.get("agent"), said.get("targets")
    if not isinstance(gateway, str) or not isinstance(agent, str) or not isinstance(targets, dict):
        raise RecgateError(f"{url} does not answer as a recgate gateway does")
    rows = cast("Mapping[str, object]", targets)
    if len(rows) > MAX_TARGETS or not all(TARGET_NAME.match(name) for name in (agent, *rows)):
        raise RecgateError(f"{url} does not answer as a recgate gateway does")
    return Enrolment(url, ca, gateway[:253], agent, {name: str(at)[:300] for name, at in rows.items()}, key)


def _why(exc: BaseException) -> str:
    """Give the first words among an error and its causes: the client's own exceptions often have none."""
    here: BaseException | None = exc
    while here is not None:
        if str(here):
            return str(here)
        here = here.__cause__ or here.__context__
    return type(exc).__name__
