"""What a configuration may say about SSH listeners and targets, and whether a target's side doors are open."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from recgate.sansio.frames import Request

__all__ = ["SshListenerOptions", "SshTargetOptions"]

MAX_PORT: Final = 65_535


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Many = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


class SshListenerOptions(BaseModel):
    """Options of a listener with `protocol: ssh`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keepalive: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Seconds of silence after which a peer is asked whether it is still there.",
    )
    keyboard_interactive: Literal["code", "token"] = Field(
        default="code",
        description="What keyboard-interactive shows: where to sign in and with which code, or a prompt for a token.",
    )


class SshTargetOptions(BaseModel):
    """Options of a target with `protocol: ssh`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    username: str = Field(default="", description="Account to log in to; by default the credential's.")
    host_key: Many = Field(
        default=(), description='The target\'s host keys, each as in its `.pub` file: "ssh-ed25519 AAAA…".'
    )
    known_hosts: Path | None = Field(
        default=None, description="A file in OpenSSH's known_hosts format, beside `host_key`."
    )
    forward: Many = Field(
        default=(),
        description='Where `ssh -L` and `-D` may lead, as seen from the target: "host:port" with * and ?.',
    )
    remote_forward: Many = Field(
        default=(),
        description='What `ssh -R` may listen on at the target: "host:port" with * and ?; the host may be empty.',
    )
    connect_timeout: float = Field(
        default=15.0, gt=0, le=300, description="Seconds for the target to finish its key exchange and login."
    )

    @property
    def reason_hint(self) -> str:
        """How a client says why it is here."""
        return "ssh -l 'TARGET,REASON' …"

    @field_validator("host_key")
    @classmethod
    def _looks_like_keys(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            words = line.split()
            if len(words) < 2 or "\n" in line or not words[1].startswith("AAAA"):
                raise ValueError('a host key is written as in its .pub file: "ssh-ed25519 AAAA…"')
        return lines

    @field_validator("forward", "remote_forward")
    @classmethod
    def _looks_like_addresses(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            _, colon, port = pattern.rpartition(":")
            if not colon or (not (port.isdigit() and int(port) <= MAX_PORT) and not {"*", "?"} & set(port)):
                raise ValueError(f'"{pattern}" is not "host:port", where * and ? stand for anything')
        return patterns

    def allows(self, request: Request) -> bool:
        """Whether this target opens a way past its own shell. Agent and X11 forwarding never are."""
        if request.kind != "forward":
            return False
        patterns = self.remote_forward if request.details.get("direction") == "remote" else self.forward
        host, port = request.details.get("host"), request.details.get("port")
        if not isinstance(host, str) or not isinstance(port, int):
            return False
        return any(_matches(pattern, host, port) for pattern in patterns)


def _matches(pattern: str, host: str, port: int) -> bool:
    # Host and port apart, so that "*:80" cannot be met by a host whose name holds a colon.
    wanted_host, _, wanted_port = pattern.rpartition(":")
    wanted_host = wanted_host.removeprefix("[").removesuffix("]").replace("[", "[[]")
    return fnmatchcase(host.lower(), wanted_host.lower()) and fnmatchcase(str(port), wanted_port)
