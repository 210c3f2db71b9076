"""Ask a provider what a token is (RFC 7662): so that an opaque one is known, and that a signed one was revoked."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Final

import trio

from recgate.model import Secret
from recgate_oidc.answers import Answers
from recgate_oidc.errors import TokenRefused
from recgate_oidc.fetching import MAX_ASKING, Fetcher, client_authorization
from recgate_oidc.provider import Provider
from recgate_oidc.settings import IntrospectionSettings, OidcSettings
from recgate_oidc.tokens import check_access, moment

__all__ = ["Introspection", "could_be_opaque"]

MAX_STRANGERS: Final = MAX_ASKING // 2  # questions at once about what anybody may have sent
# RFC 6750 §2.1's b64token; below 16 characters it is a password that somebody mistyped, and not sent anywhere.
_OPAQUE: Final = re.compile(rb"[A-Za-z0-9._~+/-]{16,4096}=*\Z")
_OURS: Final = re.compile(rb"rg[a-z]{0,2}_")  # the gateway's own tokens are nobody else's business
_TYPES: Final = ("", "bearer", "access_token")


def could_be_opaque(token: bytes) -> bool:
    """Say whether something could be a provider's opaque access token."""
    return _OPAQUE.match(token) is not None and _OURS.match(token) is None


class Introspection:
    """The question for one source, answered from memory for `introspection.cache`."""

    def __init__(
        self, settings: OidcSettings, wanted: IntrospectionSettings, provider: Provider, fetcher: Fetcher
    ) -> None:
        self._settings = settings
        self._wanted = wanted
        self._provider = provider
        self._fetcher = fetcher
        self._answers: Answers[Mapping[str, object] | None] = Answers(wanted.cache)
        self._strangers = trio.Semaphore(MAX_STRANGERS)

    async def active(
        self, token: Secret, *, strange: bool = False, anew: bool = False
    ) -> Mapping[str, object] | None:
        """Give what the provider says of an access token made out to the gateway, or None: it is not active.

        Args:
            token: what is asked about.
            strange: nothing is known of it: anybody may have sent it.
            anew: no earlier answer counts.

        Raises:
            TokenRefused: it is active, and no access token, or not the gateway's.
            ProviderFailed: it cannot be asked.
        """
        claims = await self._answers.get(token, lambda: self._ask(token, strange=strange), anew=anew)
        if claims is None:
            return None
        settings = self._settings
        if claims.get("iss", settings.issuer) != settings.issuer:
            raise TokenRefused("it is of another issuer")
        kind = claims.get("token_type", "")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise TokenRefused("the provider says that it is no bearer's token")
        if "sub" not in claims and isinstance(claims.get("client_id"), str):
            claims = {**claims, "sub": claims["client_id"]}  # a program's own token is about nobody else
        check_access(claims, settings, declared=False)
        end = moment(claims, "exp")
        if end is None:
            raise TokenRefused("the provider does not say when it ends")
        start = moment(claims, "nbf")
        if end + settings.leeway <= time.time() or (start or 0.0) - settings.leeway > time.time():
            raise TokenRefused("it has expired, or is not valid yet")
        return claims

    async def _ask(self, token: Secret, *, strange: bool) -> Mapping[str, object] | None:
        # Whoever guesses must not take all places at the provider from those who are asked after and from its keys.
        async with self._strangers if strange else nullcontext():
            return await self._asked(token)

    async def _asked(self, token: Secret) -> Mapping[str, object] | None:
        endpoint = self._wanted.endpoint or await self._provider.endpoint("introspection_endpoint")
        form = {"token": token.reveal().decode("ascii"), "token_type_hint": "access_token"}
        answer = await self._fetcher.post(endpoint, form, client_authorization(self._settings))
        claims = answer.json()
        return claims if claims.get("active") is True else None
