"""Believe a token, or say why not: signature, issuer, audience, times, and whether it is the kind that is asked for.

An access token (RFC 9068 as far as providers follow it), an ID token (OpenID Connect Core §3.1.3.7), a logout token
(Back-Channel Logout 1.0 §2.6) and the claims of another party (Core §5.6.2) are each checked for what tells them apart.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Final, cast

from joserfc import jws
from joserfc.errors import JoseError

from recgate_oidc.errors import TokenBroken, TokenRefused
from recgate_oidc.jose import Unverified, take_apart
from recgate_oidc.keys import Keys
from recgate_oidc.settings import OidcSettings

__all__ = [
    "LOGOUT_LIFE",
    "Tokens",
    "check_access",
    "could_be_id_token",
    "is_declared",
    "moment",
    "subject_of",
]

MAX_LIFE: Final = 400 * 86_400.0  # seconds; a token that lasts longer is a mistake
LOGOUT_LIFE: Final = 600.0  # seconds that a logout token counts which does not say how long
MAX_IDENTIFIER: Final = 2_048  # characters of `sub`: what a SPIFFE ID may have; people have 255, Core §2

_PLAIN: Final = ("", "jwt")
_ACCESS: Final = ("at+jwt", "application/at+jwt")
_SVID: Final = ("", "jwt", "jose")
# What Keycloak writes into `typ` among the claims of tokens that are no access tokens.
_OTHER_KINDS: Final = ("id", "refresh", "offline", "logout", "serialized-id")
_OF_ID_TOKENS: Final = ("at_hash", "c_hash", "s_hash")
_OF_ACCESS_TOKENS: Final = ("scope", "scp", "client_id", "appid", "cid")
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


class Tokens:
    """Checks tokens of one issuer. Everything raises `TokenRefused`, or `ProviderFailed` when keys cannot be had."""

    def __init__(self, settings: OidcSettings, keys: Keys) -> None:
        self._settings = settings
        self._keys = keys

    def issued(self, token: Unverified) -> bool:
        """Say whether a token claims to be of this issuer. Proves nothing."""
        issuer = token.claims.get("iss")
        trust_domain = self._settings.trust_domain
        if trust_domain and issuer in (None, trust_domain):
            # A JWT-SVID need not have an issuer: its trust domain is in its subject (JWT-SVID §3).
            return str(token.claims.get("sub", "")).startswith(trust_domain + "/")
        return issuer == self._settings.issuer

    async def access(self, token: Unverified) -> Mapping[str, object]:
        """Give the claims of an access token that is made out to the gateway."""
        settings = self._settings
        if not settings.audience:
            raise TokenRefused("access tokens are not taken: the source has no `audience`")
        declared = is_declared(token)
        if not declared and token.word("typ").lower() not in (_SVID if settings.trust_domain else _PLAIN):
            raise TokenRefused("its header says that it is no access token")
        if settings.typ == "at+jwt" and not declared:
            raise TokenRefused("its header does not say at+jwt, which the source demands")
        claims = await self._verified(token)
        check_access(claims, settings, declared=declared)
        self._check_times(claims)
        return claims

    async def identity(self, text: bytes, nonce: str | None) -> Mapping[str, object]:
        """Give the claims of an ID token that was just issued to the gateway's own client.

        `nonce` is what was sent with the request for it, or None where the flow has none (device authorization).
        """
        token = self._own(text)
        if token.word("typ").lower() not in _PLAIN:
            raise TokenRefused("its header says that it is no ID token")
        claims = await self._verified(token)
        audience = _audience(claims)
        if self._settings.client_id not in audience:
            raise TokenRefused("it is made out to another client")
        party = claims.get("azp")
        if (party is not None or len(audience) > 1) and party != self._settings.client_id:
            raise TokenRefused("it was issued to another client")
        if nonce is not None and claims.get("nonce") != nonce:
            raise TokenRefused("it answers another request")
        if str(claims.get("typ", "ID")).lower() != "id" or "events" in claims:
            raise TokenRefused("its claims say that it is no ID token")
        subject_of(claims)
        self._check_times(claims)
        return claims

    async def logout(self, text: bytes) -> Mapping[str, object]:
        """Give the claims of a logout token; whether its `jti` was seen before is for the caller to know."""
        token = self._own(text)
        if token.word("typ").lower() not in ("", "jwt", "logout+jwt", "application/logout+jwt"):
            raise TokenRefused("its header says that it is no logout token")
        claims = await self._verified(token)
        if self._settings.client_id not in _audience(claims):
            raise TokenRefused("it is made out to another client")
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(
            cast("dict[str, object]", events).get(_LOGOUT_EVENT), dict
        ):
            raise TokenRefused("it tells of no logout")
        if "nonce" in claims:
            raise TokenRefused("it has a nonce, which no logout token has")
        if not isinstance(claims.get("jti"), str) or not (_text(claims, "sub") or _text(claims, "sid")):
            raise TokenRefused("it does not say who, or which session")
        issued = moment(claims, "iat")
        if issued is None:
            raise TokenRefused("it does not say when")
        if "exp" not in claims and issued + LOGOUT_LIFE + self._settings.leeway <= time.time():
            # Who once overheard it could otherwise log that person out for ever: its `jti` is not kept that long.
            raise TokenRefused("it has no end, and is not of now")
        self._check_times(claims, need_end=False)
        return claims

    async def claims_about(self, text: bytes, subject: str) -> Mapping[str, object]:
        """Give what the issuer says of `subject` in a document of its own: aggregated or distributed claims."""
        token = self._own(text)
        claims = await self._verified(token)
        if claims.get("sub") != subject:
            raise TokenRefused("claims about somebody else")
        ours = (self._settings.audience, self._settings.client_id)
        if "aud" in claims and not any(each in ours for each in _audience(claims) if each):
            raise TokenRefused("claims made out to somebody else")
        self._check_times(claims, need_end=False)
        return claims

    def _own(self, text: bytes) -> Unverified:
        token = take_apart(text)
        if token is None or not self.issued(token):
            raise TokenRefused("it is no token of this provider")
        return token

    async def _verified(self, token: Unverified) -> Mapping[str, object]:
        """Check the header and the signature, and that the token is of this issuer."""
        header = token.header
        algorithm = token.word("alg")
        if algorithm not in self._settings.algorithms:
            raise TokenRefused(f"its signature is {algorithm[:20]!a}, which the source does not take")
        for name in ("crit", "b64", "zip"):
            if name in header:
                # An extension that is not understood makes it invalid, RFC 7515 §4.1.11.
                raise TokenRefused(f"its header has {name!r}, which is not understood here")
        if not self.issued(token):
            raise TokenRefused("it is of another issuer")
        key = await self._keys.key(token.word("kid"), algorithm)
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        try:
            with warnings.catch_warnings():
                # RFC 9864 renames EdDSA to Ed25519; providers have not followed yet.
                warnings.filterwarnings("ignore", message="EdDSA is deprecated")
                jws.deserialize_compact(token.text, key.key, registry=registry)
        except (JoseError, ValueError, TypeError):
            raise TokenBroken("its signature is not the provider's") from None
        return token.claims

    def _check_times(self, claims: Mapping[str, object], *, need_end: bool = True) -> None:
        now, leeway = time.time(), self._settings.leeway
        end, start, issued = (moment(claims, name) for name in ("exp", "nbf", "iat"))
        if end is None and need_end:
            raise TokenRefused("it has no end")
        if end is not None and end + leeway <= now:
            raise TokenRefused("it has expired")
        if end is not None and end - now > MAX_LIFE:
            raise TokenRefused("its end is further away than any token's should be")
        if start is not None and start - leeway > now:
            raise TokenRefused("it is not valid yet")
        if issued is not None and issued - leeway > now:
            raise TokenRefused("it is from the future: compare the clocks of the gateway and the provider")


def check_access(claims: Mapping[str, object], settings: OidcSettings, *, declared: bool) -> None:
    """Refuse claims that are not those of a bearer's access token for the gateway.

    Args:
        claims: of a token, or of an introspection's answer.
        settings: of the source.
        declared: whether its header says `at+jwt` (RFC 9068 §4), which no ID token says.
    """
    audience = _audience(claims)
    if settings.audience not in audience:
        raise TokenRefused("it is made out to another audience")
    kind = claims.get("typ", "")
    if not isinstance(kind, str) or kind.lower() in _OTHER_KINDS:
        raise TokenRefused("its claims say that it is no access token")
    if "cnf" in claims:
        # A token that is bound to a key (RFC 7800, 8705, 9449) is worth nothing without the proof of the key.
        raise TokenRefused("it is bound to a key, whose proof no password can carry")
    if "events" in claims:
        raise TokenRefused("it tells of an event, and gives no access")
    if not declared:
        if settings.client_id and settings.client_id in audience:
            raise TokenRefused("it is made out to the client, as an ID token is")
        if any(name in claims for name in _OF_ID_TOKENS):
            raise TokenRefused("it is an ID token")
        # Old Keycloaks put the nonce into access tokens too, and say `typ: Bearer` in their claims.
        if "nonce" in claims and kind.lower() != "bearer":
            raise TokenRefused("it is an ID token")
    subject_of(claims)


def is_declared(token: Unverified) -> bool:
    """Say whether a token's header says that it is an access token (RFC 9068 §2.1)."""
    return token.word("typ").lower() in _ACCESS


def could_be_id_token(claims: Mapping[str, object]) -> bool:
    """Say whether the claims of a person's token that declares nothing are those of an ID token just as well.

    An access token says for which client or scope it is; an ID token that some client got for itself, whose `aud` is
    that client, says neither.
    """
    if any(isinstance(claims.get(name), (str, list)) and claims[name] for name in _OF_ACCESS_TOKENS):
        return False
    party = claims.get("azp")
    return not isinstance(party, str) or party in _audience(claims)


def subject_of(claims: Mapping[str, object]) -> str:
    """Give `sub`. Raises `TokenRefused` if it is none."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject.strip() or len(subject) > MAX_IDENTIFIER:
        raise TokenRefused("it does not say who it is about")
    if not subject.isprintable():
        # It goes into recordings and the audit trail as it stands: no line breaks, no half characters.
        raise TokenRefused("it does not say who it is about")
    return subject


def moment(claims: Mapping[str, object], name: str) -> float | None:
    """Give a time (wall-clock seconds), or None. Raises `TokenRefused` for what is no number (RFC 7519 §2)."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        raise TokenRefused(f"its `{name}` is no time")
    return float(value)


def _audience(claims: Mapping[str, object]) -> list[object]:
    value = claims.get("aud")
    return cast("list[object]", value) if isinstance(value, list) else [value]


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name, "")
    return value if isinstance(value, str) else ""
