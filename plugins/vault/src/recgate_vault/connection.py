"""One vault server over hvac: verified TLS, bounded in time and size, and its words kept from everybody.

hvac is synchronous: everything here blocks, for at most what its deadline leaves, and is called in a worker thread.
No redirect is followed, since it would carry the token elsewhere, and the environment (proxies, other authorities,
netrc) has no say.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import requests
from hvac.adapters import RawAdapter
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from recgate.errors import VaultFailed
from recgate.model import Secret
from recgate_vault.paths import quoted
from recgate_vault.settings import VaultSettings

__all__ = ["Answer", "Connection", "Deadline", "NoAnswer", "Refused"]

MAX_ANSWER: Final = 1 << 20  # bytes; the longest chain of certificates is far below
CHUNK: Final = 64 << 10  # bytes
# What is looked for in a refusal. The rest of its words may quote a statement or a secret, and is dropped.
TELLING: Final = (
    "sealed",
    "lease not found",
    "invalid lease",
    "not found",
    "default user",
    "unsupported path",
    "too old",
)


class NoAnswer(VaultFailed):
    """The vault could not be reached, or not in time: it may have done what it was asked, or not."""


class Refused(VaultFailed):
    """The vault said no. `status` is HTTP's, `words` are those of `TELLING` that it used."""

    def __init__(self, text: str, status: int, words: frozenset[str] = frozenset()) -> None:
        super().__init__(text)
        self.status = status
        self.words = words


class Deadline:
    """How long one piece of work may take, over all its requests."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; never negative."""
        return max(0.0, self._end - time.monotonic())


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vault said. Everything that may be secret stays out of its repr."""

    data: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    auth: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    lease_id: str = ""
    lease_duration: float = 0.0
    renewable: bool = False

    def text(self, name: str) -> str:
        """Give a field of the data as text, or the empty string."""
        value = self.data.get(name)
        return value if isinstance(value, str) else ""


class _Adapter(RawAdapter):
    """hvac's adapter; what it raises holds a status and no text of the server's."""

    def _raise_for_error(self, method: str, url: str, response: requests.Response) -> None:
        """Leave the answer to the caller, which reads no more of it than it wants."""


class Connection:
    """Requests to one server. Shared by threads; a token is given with each request."""

    def __init__(self, settings: VaultSettings) -> None:
        self.name = settings.name
        self.address = settings.address
        self._namespace = settings.namespace
        session = requests.Session()
        session.trust_env = False
        session.verify = str(settings.ca) if settings.ca is not None else _system_authorities()
        if settings.auth.certificate is not None:
            session.cert = (str(settings.auth.certificate.certificate), str(settings.auth.certificate.key))
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=settings.workers))
        self._session = session
        self._ca = settings.ca

    def ask(
        self,
        method: str,
        path: str,
        deadline: Deadline,
        *,
        token: Secret | None = None,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask `path` (below `/v1/`, not quoted) and give the answer; an answer without content is an empty one.

        Raises:
            NoAnswer: not reached, not verified, or not in time.
            Refused: it said no.
            VaultFailed: what it said is no answer.
        """
        adapter = _Adapter(
            base_uri=self.address,
            token=token.reveal().decode("latin-1") if token is not None else None,
            session=self._session,
            namespace=self._namespace,
            allow_redirects=False,
        )
        left = self._left(deadline)
        try:
            response = adapter.request(
                method,
                "/v1/" + quoted(path),
                json=_plain(body),
                params=query or None,
                stream=True,
                timeout=left,
            )
            with response:
                data = self._read(response, deadline)
        except (requests.RequestException, HTTPError, OSError, ValueError) as exc:
            # ValueError: a header that cannot be sent, such as a token with a line end in it.
            raise self._no_answer(exc, deadline) from None
        if response.status_code >= 300:
            raise self._refused(method, path, response.status_code, data)
        return self._parsed(path, data)

    def _left(self, deadline: Deadline) -> float:
        left = deadline.left
        if left <= 0:
            raise self._late(deadline)
        return left

    def _read(self, response: requests.Response, deadline: Deadline) -> bytes:
        data = bytearray()
        # read1 gives what there is: an answer that drips must not be waited for until a chunk is full.
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            data += chunk
            if len(data) > MAX_ANSWER:
                raise VaultFailed(
                    f"vault {self.name}: an answer of more than {MAX_ANSWER} bytes was refused."
                )
            self._left(deadline)
        return bytes(data)

    def _parsed(self, path: str, data: bytes) -> Answer:
        if not data:
            return Answer()
        try:
            raw: object = json.loads(data)
        except (ValueError, RecursionError):
            raw = None
        if not isinstance(raw, dict):
            raise VaultFailed(
                f"vault {self.name}: {self.address} did not answer {path} as a vault does. Is the address right?"
            )
        fields = cast("dict[str, object]", raw)
        duration = fields.get("lease_duration")
        return Answer(
            data=_mapping(fields.get("data")),
            auth=_mapping(fields.get("auth")),
            lease_id=str(fields.get("lease_id") or ""),
            lease_duration=float(duration) if isinstance(duration, int | float) else 0.0,
            renewable=fields.get("renewable") is True,
        )

    # -- why not -----------------------------------------------------------------------------------------

    def _late(self, deadline: Deadline) -> NoAnswer:
        return NoAnswer(
            f"vault {self.name}: {self.address} did not answer within {deadline.seconds:g} s. "
            "See whether it is up; sessions that are open go on."
        )

    def _no_answer(self, exc: Exception, deadline: Deadline) -> NoAnswer:
        if isinstance(exc, requests.Timeout | ReadTimeoutError) or deadline.left <= 0:
            return self._late(deadline)
        if isinstance(exc, requests.exceptions.SSLError):
            believed = f"by {self._ca}" if self._ca is not None else "by the system's authorities"
            return NoAnswer(
                f"vault {self.name}: the certificate of {self.address} could not be verified {believed}. "
                "Set `ca:` to the authority that signed it, and `address:` to a name that it has."
            )
        if isinstance(exc, OSError) and not isinstance(exc, requests.RequestException):
            return NoAnswer(
                f"vault {self.name}: {exc.strerror or type(exc).__name__}. Check `ca:` and `auth:`."
            )
        return NoAnswer(
            f"vault {self.name}: {self.address} cannot be reached ({type(exc).__name__}). "
            "See whether it is up, and whether `address:` is right."
        )

    def _refused(self, method: str, path: str, status: int, data: bytes) -> Refused:
        said = data.decode(errors="replace").lower()
        words = frozenset(word for word in TELLING if word in said)
        where = f"vault {self.name}: {path}"
        if status in (503, 501):
            what = "is sealed. Unseal it" if "sealed" in words else "is not ready. See its log"
            text = f"vault {self.name}: {self.address} {what}."
        elif status < 400:
            text = f"vault {self.name}: {self.address} leads elsewhere. Set `address:` to the server itself."
        elif status in (401, 403):
            text = (
                f"{where}: permission denied. Add to a policy of this login: "
                f'path "{path}" {{ capabilities = ["{capability(method)}"] }}'
            )
        elif status == 404:
            text = f"{where}: there is nothing. Make it, or correct the target's `credential:`."
        elif status == 429:
            text = f"vault {self.name}: {self.address} is over its quota. Raise it, or wait."
        else:
            text = f"{where}: refused with {status}. The vault's own log says why."
        return Refused(text, status, words)


def capability(method: str) -> str:
    """Name what a policy must allow for a request."""
    return {"get": "read", "list": "list"}.get(method.lower(), "update")


def _system_authorities() -> str:
    """Where the system keeps its authorities: the same that every other connection of the gateway believes."""
    paths = ssl.get_default_verify_paths()
    found = paths.cafile or paths.capath
    # Without any, nothing is believed: a file that is not there is an error, and never a reason to go on.
    return found or paths.openssl_cafile


def _mapping(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _plain(body: Mapping[str, object] | None) -> Any:  # noqa: ANN401 - what JSON may hold
    if body is None:
        return None
    return {
        key: value.reveal().decode() if isinstance(value, Secret) else value for key, value in body.items()
    }
