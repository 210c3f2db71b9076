"""A gateway seen from a client: its API over HTTPS with the stored token, and tunnels to its targets."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

import click
import httpx2

from recgate.cli.home import ClientHome, KnownGateway
from recgate.cli.moments import until
from recgate.config.files import find
from recgate.errors import RecgateError
from recgate.keys.files import make_private_directory, write_atomically
from recgate.model import TARGET_NAME, Secret
from recgate.websocketclient import ClientMessages, UpgradeRefused, gateway_context, open_messages

__all__ = [
    "About",
    "Denied",
    "RemoteGateway",
    "RemoteTarget",
    "Unproven",
    "Unreachable",
    "checked_target",
    "gateway_options",
    "granted_words",
    "is_client",
]

PATIENCE: Final = 20.0  # seconds for an answer of the API
MAX_ANSWER: Final = 8 << 20  # bytes of an answer: ten thousand targets
PUBLIC: Final = 0o644
FINE: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})
NO: Final = frozenset({HTTPStatus.FORBIDDEN})
NOES: Final = NO | {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}  # where what is asked for may have gone
# What goes into a known_hosts file must be one word of one line, whoever says it.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_KEY: Final = re.compile(r"ssh-[a-z0-9-]{1,32} [A-Za-z0-9+/=]{16,1024}(?= |\Z)")

F = TypeVar("F", bound=Callable[..., object])


class Denied(RecgateError):
    """The gateway's answer is no. Its words are its own."""


class Unreachable(RecgateError):
    """The gateway did not answer: it is away, or the way to it is."""


class Unproven(RecgateError):
    """Whatever answers there did not prove that it is the gateway. `reason` is OpenSSL's, `code` its number."""

    def __init__(self, words: str, reason: str, code: int) -> None:
        super().__init__(words)
        self.reason = reason
        self.code = code


@dataclass(frozen=True, slots=True)
class About:
    """What a gateway says of itself: its name, the key of its SSH host authority (`ssh-ed25519 AAAA…`), and `login`.

    `login`, the ways to sign in, is as it was sent: who uses an entry checks it.
    """

    name: str
    ssh_host_ca: str
    login: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class RemoteTarget:
    """A target as the API lists it: `line` is for a listener, `tunnel` for a tunnel's near end."""

    name: str
    protocol: str
    labels: dict[str, str]
    needs: str
    line: str
    tunnel: str
    granted: str = ""  # until when, and by whom, where it is open for a time alone


def is_client(url: str = "") -> bool:
    """Whether a command speaks of a gateway elsewhere: one is named, or none is configured here and one is known."""
    from recgate.cli.context import configuration_file

    return bool(url) or (find(configuration_file()) is None and ClientHome.of().knows_any())


def gateway_options(command: F) -> F:
    """Give a command the options that say which gateway, and by what it is believed."""
    url = click.option(
        "--url", default="", metavar="URL", help="The gateway; else the one signed in to last."
    )
    ca = click.option(
        "--ca",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="Its CA, in place of the one that was stored at sign-in.",
    )
    return url(ca(command))


def checked_target(name: str) -> str:
    """Give a target's name if it can be one. Raises `RecgateError`."""
    if not TARGET_NAME.match(name):
        raise RecgateError(f"{name[:80]!r} is no target's name: see `recgate targets`")
    return name


class RemoteGateway:
    """One gateway and this person's sign-in there. The token is read anew for every request.

    Every method raises `RecgateError` when the gateway is not there or did not prove who it is, or when the sign-in
    has ended, and `Denied` when its answer is no.
    """

    def __init__(self, known: KnownGateway, home: ClientHome) -> None:
        self.known = known
        self._home = home
        self._context = gateway_context(known.ca)

    @classmethod
    def of(cls, url: str, ca: Path | None) -> RemoteGateway:
        """Give the gateway that the options name. Raises `RecgateError`."""
        home = ClientHome.of()
        return cls(home.gateway(url, ca), home)

    async def about(self) -> About:
        """Ask what it is called, and whose SSH host keys to believe."""
        said = await self._get("/.well-known/recgate", signed_in=False)
        name, key = str(said.get("name", "")), _KEY.match(str(said.get("ssh_host_ca", "")))
        if not _NAME.match(name) or key is None:
            raise RecgateError(f"{self.known.url} does not answer as a recgate gateway does")
        ways = said.get("login")
        return About(
            name,
            key[0],
            tuple(cast("dict[str, object]", each) for each in _list(ways) if isinstance(each, dict)),
        )

    async def whoami(self) -> dict[str, object]:
        """Ask whom the token proves, as the API says it."""
        return await self._get("/api/v1/whoami")

    async def call(self, path: str, body: Mapping[str, object] | None = None) -> dict[str, object]:
        """Ask something of the API as who is signed in: a POST if there is a body."""
        token = self._home.token(self.known.url).token
        return (await self.ask(path, body, token=token, noes=NOES))[1]

    async def targets(self) -> list[RemoteTarget]:
        """List what may be opened."""
        said = (await self._get("/api/v1/targets")).get("targets")
        rows = _list(said)
        if not isinstance(said, list) or not all(isinstance(each, dict) for each in rows):
            raise RecgateError(f"{self.known.url} does not answer as a recgate gateway does")
        return [_target(cast("dict[str, object]", each)) for each in rows]

    @asynccontextmanager
    async def tunnel(self, target: str) -> AsyncGenerator[ClientMessages, None]:
        """Open a tunnel to a target."""
        url = f"{self.known.url}/api/v1/connect/{checked_target(target)}"
        try:
            async with open_messages(url, self._context, headers=[self._authorization()]) as messages:
                yield messages
        except UpgradeRefused as exc:
            raise self._refusal(exc.status, str(exc)) from None

    def ca_file(self) -> str:
        """Give the path of its CA for other programs, or `system`; the file is written where it is not yet."""
        if not self.known.ca:
            return "system"
        return str(self.keep(f"ca-{self.slug}.pem", self.known.ca))

    @property
    def slug(self) -> str:
        """Its address as part of a file's name."""
        # One for one, so that no two addresses have the same: their keys are not to be mixed up.
        return re.sub(r"[^a-z0-9.-]", "_", urlsplit(self.known.url).netloc.lower())

    def keep(self, name: str, text: str) -> Path:
        """Write a public file beside what the client keeps, and give its path. Raises `RecgateError`."""
        path = self._home.directory / name
        make_private_directory(self._home.directory)
        if not path.exists() or path.read_text() != text:
            write_atomically(path, text.encode(), PUBLIC)
        return path

    # -- requests ----------------------------------------------------------------------------------------

    async def ask(
        self,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        token: Secret | None = None,
        noes: Collection[int] = NO,
    ) -> tuple[int, dict[str, object]]:
        """Send a request, a POST if there is a body; gives the status, one of 200, 201, 202, 204, and what was said.

        Args:
            path: below the gateway's address.
            body: JSON data; an empty one is a POST as well.
            token: what it is signed in by; nobody is signed in without one.
            noes: statuses that are an answer, and no: `Denied`.
        """
        signed_in = token is not None
        headers = [(b"authorization", b"Bearer " + token.reveal())] if token is not None else []
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers.append((b"content-type", b"application/json"))
        status, sent = await self._exchange(path, headers, content)
        said = _object(sent)
        if status not in FINE:
            words = str(said.get("detail", ""))[:500] or f"answered with status {status}"
            raise self._refusal(status, words, signed_in=signed_in, noes=noes)
        return status, said

    def _authorization(self) -> tuple[bytes, bytes]:
        return b"authorization", b"Bearer " + self._home.token(self.known.url).token.reveal()

    async def _get(self, path: str, *, signed_in: bool = True) -> dict[str, object]:
        token = self._home.token(self.known.url).token if signed_in else None
        return (await self.ask(path, token=token))[1]

    async def _exchange(
        self, path: str, headers: Sequence[tuple[bytes, bytes]], content: bytes | None
    ) -> tuple[int, bytes]:
        method, url = "GET" if content is None else "POST", self.known.url + path
        headers = [*headers, (b"accept-encoding", b"identity")]
        body = bytearray()
        try:
            # No proxy from the environment: tunnels take none either, and one that works alone misleads.
            async with (
                httpx2.AsyncClient(verify=self._context, timeout=PATIENCE, trust_env=False) as client,
                client.stream(method, url, headers=list(headers), content=content) as answer,
            ):
                if "content-encoding" in answer.headers:  # nobody asked for it, and it may be a bomb
                    raise RecgateError(f"{url}: answers compressed")
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER:
                        raise RecgateError(f"{url}: answers without end")
        except httpx2.HTTPError as exc:
            raise _failure(self.known.url, exc) from None
        return answer.status_code, bytes(body)

    def _refusal(
        self, status: int, words: str, *, signed_in: bool = True, noes: Collection[int] = NO
    ) -> RecgateError:
        url = self.known.url
        if status == HTTPStatus.UNAUTHORIZED and signed_in:
            return RecgateError(f"your sign-in at {url} has ended or was revoked: run `recgate login {url}`")
        return Denied(words) if status in noes else RecgateError(f"{url}: {words}")


def _failure(url: str, exc: BaseException) -> RecgateError:
    here: BaseException | None = exc
    while here is not None:
        if isinstance(here, ssl.SSLCertVerificationError):
            return Unproven(f"{url}: {_why(exc)}", here.verify_message, here.verify_code)
        here = here.__cause__ or here.__context__
    return Unreachable(f"{url}: {_why(exc)}")


def _why(exc: BaseException) -> str:
    """Give the first words among an error and its causes: the client's own exceptions often have none."""
    here: BaseException | None = exc
    while here is not None:
        if str(here):
            return str(here)
        here = here.__cause__ or here.__context__
    return type(exc).__name__


def _object(body: bytes) -> dict[str, object]:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _target(row: dict[str, object]) -> RemoteTarget:
    labels = row.get("labels")
    return RemoteTarget(
        checked_target(str(row.get("name", ""))),
        str(row.get("protocol", "")),
        {str(key): str(value) for key, value in cast("dict[str, object]", labels).items()}
        if isinstance(labels, dict)
        else {},
        str(row.get("needs", "")),
        str(row.get("line", "")),
        str(row.get("tunnel", "")),
        granted_words(row.get("grant")),
    )


def granted_words(value: object) -> str:
    """Word a grant as the API says it: until when, and who approved it; nothing for none."""
    if not isinstance(value, dict):
        return ""
    grant = cast("dict[str, object]", value)
    moment, by = grant.get("until"), ", ".join(str(each) for each in _list(grant.get("by")))
    return (
        f"granted by {by} until {until(float(moment), time.time())}"
        if isinstance(moment, (int, float))
        else ""
    )
