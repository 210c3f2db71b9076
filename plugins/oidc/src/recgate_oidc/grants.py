"""What is asked at the token endpoint: a code or a device's approval for tokens, new ones for old, and an end to them.

RFC 6749 §4.1.3, §6; PKCE (RFC 7636 §4.5); device authorization (RFC 8628 §3); revocation (RFC 7009).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from recgate.model import Secret
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.fetching import Fetcher, Reply, client_authorization
from recgate_oidc.jose import MAX_TOKEN
from recgate_oidc.provider import Provider
from recgate_oidc.settings import OidcSettings, is_usable_url
from recgate_oidc.tokens import Tokens

__all__ = ["Code", "Device", "Granted", "Grants", "Issued", "NotYet"]

DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
MAX_WORDS: Final = 64  # characters of a user code
MAX_URL: Final = 2_048
DEVICE_LIFE: Final = (30, 1_800)  # seconds that a code may be good for, whatever the provider says
INTERVAL: Final = (
    1,
    60,
)  # seconds between two questions; five where the provider does not say (RFC 8628 §3.2)
MAX_LIFE: Final = 86_400.0 * 30  # seconds; what an access token's `expires_in` may say
_REFUSALS: Final[Mapping[str, tuple[str, str]]] = {
    "invalid_grant": (
        "the provider does not take it (any more)",
        "The provider does not take this sign-in (any more): begin again.",
    ),
    "access_denied": ("the person said no at the provider", "The sign-in was refused at the provider."),
    "expired_token": ("nobody entered the code in time", "Nobody entered the code in time: begin again."),
}
_WORD: Final = re.compile(r"[a-z_]{1,40}\Z")


class NotYet(TokenRefused):
    """Nobody has entered the code yet. `slower` says that the provider was asked too soon."""

    def __init__(self, *, slower: bool) -> None:
        super().__init__("nobody has entered the code yet")
        self.slower = slower


@dataclass(frozen=True, slots=True)
class Issued:
    """What the token endpoint gave; nothing of it has been verified. `life` is the access token's, in seconds."""

    access: Secret
    refresh: Secret | None
    life: float | None
    identity: Secret | None


@dataclass(frozen=True, slots=True)
class Granted:
    """A sign-in at the provider: what it issued, and the claims of the verified ID token."""

    issued: Issued
    claims: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Code:
    """A browser's way back: what it brought, and what proves that the sign-in was begun by whoever brings it."""

    code: Secret
    verifier: Secret
    redirect_uri: str
    nonce: str


@dataclass(frozen=True, slots=True)
class Device:
    """A code for a person to enter. Times in seconds from now."""

    code: Secret
    user_code: str
    uri: str
    whole_uri: str
    life: int
    interval: int


class Grants:
    """Asks for one source.

    Everything raises `TokenRefused` when the provider says no, and `ProviderFailed` when it says nothing or nonsense.
    """

    def __init__(self, settings: OidcSettings, provider: Provider, fetcher: Fetcher, tokens: Tokens) -> None:
        self._settings = settings
        self._provider = provider
        self._fetcher = fetcher
        self._tokens = tokens

    async def by_code(self, code: Code) -> Granted:
        """Exchange an authorization code. The provider checks the verifier, and the nonce is checked here."""
        form = {
            "grant_type": "authorization_code",
            "code": code.code.reveal().decode("ascii"),
            "redirect_uri": code.redirect_uri,
            "code_verifier": code.verifier.reveal().decode("ascii"),
        }
        return await self._signed_in(await self._asked(form), code.nonce)

    async def begin(self, more: Mapping[str, str]) -> Device:
        """Have a code made for a person to enter (RFC 8628 §3.1). `more` goes along: `acr_values`, `prompt`."""
        endpoint = await self._provider.endpoint("device_authorization_endpoint")
        form = {"scope": " ".join(self._settings.scopes), **more}
        return _device((await self._post(endpoint, form)).json())

    async def by_device(self, device: Device) -> Granted:
        """Ask once what became of a code. Raises `NotYet` while nobody has entered it."""
        form = {"grant_type": DEVICE_CODE, "device_code": device.code.reveal().decode("ascii")}
        return await self._signed_in(await self._asked(form), None)

    async def ready(self) -> None:
        """Have everything at hand that `renewed` needs, so that nothing but its own request can fail."""
        await self._provider.endpoint("token_endpoint")

    async def renewed(self, refresh: Secret) -> Issued:
        """Exchange a refresh token, which thereby may be used up. Raises `TokenRefused` if it is not good any more."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh.reveal().decode("ascii")}
        return _issued(await self._asked(form))

    async def claims(self, issued: Issued, subject: str) -> Mapping[str, object] | None:
        """Give the claims of an ID token that came with a renewal, or None if none came (Core §12.2)."""
        if issued.identity is None:
            return None
        try:
            claims = await self._tokens.identity(issued.identity.reveal(), None)
        except TokenRefused as exc:
            # Says nothing about the person: a key that was rotated just now, a clock that is wrong.
            raise ProviderFailed(f"the ID token of a renewal is not good: {exc}") from exc
        if claims.get("sub") != subject:
            raise TokenRefused("the provider renewed it as somebody else's")
        return claims

    async def revoke(self, refresh: Secret) -> None:
        """Tell the provider that a refresh token is not needed any more, if it has a place for that."""
        endpoint = (await self._provider.metadata()).revocation_endpoint
        if not endpoint:
            return
        form = {"token": refresh.reveal().decode("ascii"), "token_type_hint": "refresh_token"}
        reply = await self._post(endpoint, form)
        if reply.status != 200:
            raise ProviderFailed(f"the revocation endpoint answers with status {reply.status}")

    # -- how it is asked, and what is made of the answer ------------------------------------------------

    async def _post(self, endpoint: str, form: Mapping[str, str]) -> Reply:
        if self._settings.client_secret_file is not None:
            return await self._fetcher.post(endpoint, form, client_authorization(self._settings))
        return await self._fetcher.post(endpoint, {**form, "client_id": self._settings.client_id})

    async def _asked(self, form: Mapping[str, str]) -> Mapping[str, object]:
        reply = await self._post(await self._provider.endpoint("token_endpoint"), form)
        if reply.status == 200:
            return reply.json()
        error = _error(reply)
        if error in ("authorization_pending", "slow_down"):
            raise NotYet(slower=error == "slow_down")
        if error in _REFUSALS:
            reason, tell = _REFUSALS[error]
            raise TokenRefused(reason, tell=tell)
        # `invalid_client` and the like say nothing about the person: the configuration is wrong, or the provider is.
        raise ProviderFailed(f"the token endpoint answers with status {reply.status} {error}".rstrip())

    async def _signed_in(self, answer: Mapping[str, object], nonce: str | None) -> Granted:
        issued = _issued(answer)
        if issued.identity is None:
            raise TokenRefused("the provider gave no ID token; `scopes` needs openid")
        return Granted(issued, await self._tokens.identity(issued.identity.reveal(), nonce))


def _issued(answer: Mapping[str, object]) -> Issued:
    kind, life = answer.get("token_type"), answer.get("expires_in")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise ProviderFailed("the token endpoint gives another kind of token than was asked for")
    counts = isinstance(life, int | float) and not isinstance(life, bool) and life >= 0
    refresh, identity = answer.get("refresh_token"), answer.get("id_token")
    return Issued(
        _token(answer.get("access_token")),
        None if refresh is None else _token(refresh),
        min(float(cast("float", life)), MAX_LIFE) if counts else None,
        None if identity is None else _token(identity),
    )


def _token(value: object) -> Secret:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TOKEN or not value.isascii():
        raise ProviderFailed("the token endpoint gives no token")
    if not value.isprintable() or " " in value:
        raise ProviderFailed("the token endpoint gives a token that is none")
    return Secret(value)


def _error(reply: Reply) -> str:
    """Give the code of an error answer (RFC 6749 §5.2), or "". What else it says is nobody's business."""
    if reply.status not in (400, 401, 403):
        return ""
    try:
        found: object = json.loads(reply.body)
    except (ValueError, RecursionError):
        return ""
    error = cast("dict[str, object]", found).get("error") if isinstance(found, dict) else None
    return error if isinstance(error, str) and _WORD.match(error) else ""


def _device(answer: Mapping[str, object]) -> Device:
    user_code, uri = answer.get("user_code"), answer.get("verification_uri")
    whole = answer.get("verification_uri_complete", "")
    if not isinstance(user_code, str) or not 0 < len(user_code) <= MAX_WORDS or not _shows(user_code):
        raise ProviderFailed("the provider gives no code that could be shown")
    if not _leads(uri) or (whole and not _leads(whole)):
        raise ProviderFailed("the provider does not say where to enter the code")
    return Device(
        _token(answer.get("device_code")),
        user_code,
        str(uri),
        str(whole),
        _whole_seconds(answer.get("expires_in"), DEVICE_LIFE, 600),
        _whole_seconds(answer.get("interval"), INTERVAL, 5),
    )


def _shows(text: str) -> bool:
    # It goes to a terminal as it stands.
    return text.isascii() and text.isprintable()


def _leads(url: object) -> bool:
    return isinstance(url, str) and len(url) <= MAX_URL and is_usable_url(url)


def _whole_seconds(value: object, within: tuple[int, int], otherwise: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return otherwise
    return int(max(within[0], min(within[1], value)))
