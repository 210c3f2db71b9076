"""Ask a provider over HTTPS: every request bounded in time and size, to the address that is named and nowhere else."""

from __future__ import annotations

import base64
import json
import ssl
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote_plus, urlsplit

import httpx2
import trio

from recgate.model import Secret
from recgate_oidc.errors import ProviderFailed
from recgate_oidc.settings import OidcSettings, is_usable_url

__all__ = ["MAX_ASKING", "Fetcher", "Reply", "client_authorization"]

FETCH_TIMEOUT: Final = 5.0  # seconds from the first packet to the last byte of the answer
MAX_BODY: Final = 1 << 20  # bytes; the largest public key sets are about 100 kB
MAX_ASKING: Final = 16  # requests of one source at once; others wait their turn
MAX_SECRET: Final = 4_096  # bytes of a client secret


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its media type without parameters, and its whole body."""

    url: str
    status: int
    kind: str
    body: bytes

    def json(self) -> Mapping[str, object]:
        """Give the JSON object that a good answer is. Raises `ProviderFailed`."""
        if self.status != 200:
            raise ProviderFailed(f"{_shown(self.url)} answers with status {self.status}")
        try:
            found: object = json.loads(self.body)
        except (ValueError, RecursionError):
            raise ProviderFailed(f"{_shown(self.url)} answers with something that is not JSON") from None
        if not isinstance(found, dict):
            raise ProviderFailed(f"{_shown(self.url)} answers with JSON that is not an object")
        return cast("Mapping[str, object]", found)


class Fetcher:
    """The HTTP client of one source. Cancelling a request closes its connection.

    No redirect is followed, no proxy or password is taken from the environment, and an answer is not unpacked: a
    small one cannot become a large one.
    """

    def __init__(self, ca: Path | None = None) -> None:
        self._ca = ca
        self._limiter = trio.Semaphore(MAX_ASKING)

    @cached_property
    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca)
        except (OSError, ssl.SSLError) as exc:
            raise ProviderFailed(
                f"{self._ca}: no authorities can be read from it: {exc}. Check `ca:`."
            ) from exc

    async def get(
        self, url: str, authorization: Secret | None = None, accept: str = "application/json"
    ) -> Reply:
        """Fetch. Raises `ProviderFailed`."""
        return await self._ask("GET", url, authorization, {"accept": accept})

    async def post(self, url: str, form: Mapping[str, str], authorization: Secret | None = None) -> Reply:
        """Send a form. Raises `ProviderFailed`."""
        return await self._ask("POST", url, authorization, {"accept": "application/json"}, form=form)

    async def post_json(self, url: str, document: object, authorization: Secret | None = None) -> Reply:
        """Send JSON. Raises `ProviderFailed`."""
        headers = {"accept": "application/json", "content-type": "application/json"}
        return await self._ask("POST", url, authorization, headers, content=json.dumps(document).encode())

    async def _ask(
        self,
        method: str,
        url: str,
        authorization: Secret | None,
        headers: Mapping[str, str],
        *,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Reply:
        if not is_usable_url(url):
            raise ProviderFailed(f"{_shown(url)} is no https:// address")
        sent = {**headers, "accept-encoding": "identity"}
        if authorization is not None:
            sent["authorization"] = authorization.reveal().decode("latin-1")
        try:
            with trio.fail_after(FETCH_TIMEOUT):
                async with (
                    self._limiter,
                    httpx2.AsyncClient(
                        verify=self._context, timeout=None, trust_env=False, follow_redirects=False
                    ) as client,
                    client.stream(method, url, headers=sent, data=form, content=content) as response,
                ):
                    return Reply(url, response.status_code, _kind(response), await _body(url, response))
        except trio.TooSlowError:
            raise ProviderFailed(f"{_shown(url)} does not answer within {FETCH_TIMEOUT:.0f} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ssl.SSLError, OSError) as exc:
            # Why there is no connection is worth saying. What is said of a message may quote it: a header of ours, with
            # the token in it, or whatever the provider sends back.
            words = f": {exc}" if isinstance(exc, (httpx2.ConnectError, OSError)) else ""
            raise ProviderFailed(f"{_shown(url)} cannot be asked: {type(exc).__name__}{words}") from None


async def _body(url: str, response: httpx2.Response) -> bytes:
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise ProviderFailed(f"{_shown(url)} answers packed, which was not asked for")
    body, length = bytearray(), 0
    async for part in response.aiter_raw():
        # What is too much is let go and read on, within the time limit: a stream of httpx2's that is left in its
        # middle is closed by nobody.
        length += len(part)
        body += part[: max(0, MAX_BODY - len(body))]
    if length > MAX_BODY:
        raise ProviderFailed(f"{_shown(url)} answers with more than {MAX_BODY} bytes")
    return bytes(body)


def _kind(response: httpx2.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _shown(url: str) -> str:
    """An address for people: without what follows its path, which may hold what is nobody's business."""
    parts = urlsplit(url)
    text = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return "".join(each if each.isprintable() else "?" for each in text[:200])


def client_authorization(settings: OidcSettings) -> Secret:
    """Give the `Authorization` of the gateway's own client (RFC 6749 §2.3.1). Raises `ProviderFailed`."""
    path = settings.client_secret_file
    if path is None:
        raise ProviderFailed(f"{settings.name} has no `client_secret_file`, which this needs. Set it.")
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXO:
                raise ProviderFailed(f"{path}: everybody may get at it. Run `chmod o-rwx {path}`.")
            secret = file.read(MAX_SECRET + 1).rstrip(b"\r\n")
    except OSError as exc:
        raise ProviderFailed(f"{path}: cannot be read: {exc.strerror}. Check its path and rights.") from exc
    if not secret or len(secret) > MAX_SECRET:
        raise ProviderFailed(f"{path}: should hold the client's secret, of 1 to {MAX_SECRET} bytes.")
    pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
    return Secret(b"Basic " + base64.b64encode(pair.encode()))
