"""Claims that are not in the token: the userinfo endpoint, and claims by value or by reference (Core §5.3, §5.6.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import quote, urlsplit

import trio

from recgate.model import Secret
from recgate_oidc.answers import Answers
from recgate_oidc.claims import MAX_GROUPS, found_at, group_list
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.fetching import Fetcher, client_authorization
from recgate_oidc.provider import Provider
from recgate_oidc.settings import DistributedSettings, OidcSettings, claim_path, is_usable_url
from recgate_oidc.tokens import Tokens, subject_of

__all__ = ["Userinfo", "bearer"]

KEEP: Final = 5.0  # seconds: several connections of one person within a moment are one question
SPARE: Final = 60.0  # seconds before its end at which the gateway's own token is replaced
_TOKEN: Final = re.compile(
    r"[!-~]{1,16384}\Z"
)  # what fits into a header (RFC 6750 §2.1 has even fewer characters)
_PLACE: Final = re.compile(r"\{([a-z_]{1,32})\}")


def bearer(token: Secret) -> Secret:
    """Give the `Authorization` of a token (RFC 6750 §2.1)."""
    return Secret(b"Bearer " + token.reveal())


class Userinfo:
    """Finds a person's groups where `groups_from` says. Raises `TokenRefused` and `ProviderFailed`."""

    def __init__(self, settings: OidcSettings, provider: Provider, fetcher: Fetcher, tokens: Tokens) -> None:
        self._settings = settings
        self._provider = provider
        self._fetcher = fetcher
        self._tokens = tokens
        self._answers: Answers[Mapping[str, object]] = Answers(KEEP)
        self._own = _OwnToken(settings, provider, fetcher)

    async def groups(
        self, claims: Mapping[str, object], token: Secret | None, *, anew: bool = False
    ) -> tuple[str, ...]:
        """Give the groups of whom `claims` are about, as the provider calls them.

        Args:
            claims: verified ones.
            token: the access token that they came with or by, where there is one.
            anew: whether an answer of a moment ago is too old.
        """
        settings = self._settings
        if settings.groups_from == "userinfo":
            said = await self.claims(subject_of(claims), token, anew=anew)
            return group_list(found_at(said, settings.groups_claim))
        value = found_at(claims, settings.groups_claim)
        if value is not None or not self._elsewhere(claims):
            return group_list(value)
        if settings.distributed is None:
            # Too many for the token: nobody's groups are left out silently (threat 4).
            raise TokenRefused(
                "it has more groups than fit into it; set `groups_from` to userinfo or distributed, or have the "
                "provider send fewer"
            )
        if settings.distributed.endpoint is not None:
            return await self._from_graph(settings.distributed, settings.distributed.endpoint, claims)
        return group_list(await self._from_source(settings.distributed, claims))

    async def claims(self, subject: str, token: Secret | None, *, anew: bool = False) -> Mapping[str, object]:
        """Give what the userinfo endpoint says of `subject`."""
        if token is None:
            raise TokenRefused("there is no access token to ask the userinfo endpoint with")
        found = await self._answers.get(token, lambda: self._ask(token, subject), anew=anew)
        if found.get("sub") != subject:
            # Core §5.3.2: or else the claims of somebody else's token would count.
            raise TokenRefused("the userinfo endpoint speaks of somebody else")
        return found

    async def _ask(self, token: Secret, subject: str) -> Mapping[str, object]:
        reply = await self._fetcher.get(await self._provider.endpoint("userinfo_endpoint"), bearer(token))
        if reply.status in (401, 403):
            raise TokenRefused("the userinfo endpoint does not take it (any more)")
        if reply.kind == "application/jwt" and reply.status == 200:
            return await self._tokens.claims_about(reply.body, subject)
        return reply.json()

    # -- claims elsewhere --------------------------------------------------------------------------------

    def _elsewhere(self, claims: Mapping[str, object]) -> bool:
        names = claims.get("_claim_names")
        first = claim_path(self._settings.groups_claim)[0]
        # Entra's implicit flow has `hasgroups` where others have `_claim_names`.
        return (isinstance(names, dict) and first in names) or claims.get("hasgroups") in (True, "true")

    async def _from_source(self, wanted: DistributedSettings, claims: Mapping[str, object]) -> object:
        first = claim_path(self._settings.groups_claim)[0]
        where = found_at(claims, ("_claim_names", first))
        source = found_at(claims, ("_claim_sources", where)) if isinstance(where, str) else None
        if not isinstance(source, dict):
            raise TokenRefused("it says that its groups are elsewhere, and not where")
        told = cast("dict[str, object]", source)
        inline, endpoint, access = told.get("JWT"), told.get("endpoint"), told.get("access_token")
        if isinstance(inline, str) and inline.isascii():
            document = inline.encode()
        elif isinstance(endpoint, str):
            document = await self._distributed(wanted, endpoint, access if isinstance(access, str) else "")
        else:
            raise TokenRefused("it says that its groups are elsewhere, and not where")
        found = await self._tokens.claims_about(document.strip(), subject_of(claims))
        value = found_at(found, self._settings.groups_claim)
        if value is None:
            raise TokenRefused("its groups are not where it says")
        return value

    async def _distributed(self, wanted: DistributedSettings, endpoint: str, access: str) -> bytes:
        # A token, even a signed one, must not send the gateway anywhere in its own network.
        hosts = wanted.hosts or (urlsplit(self._settings.issuer).netloc,)
        if not is_usable_url(endpoint, loopback=False) or urlsplit(endpoint).netloc not in hosts:
            raise TokenRefused("its groups are at a host that `distributed.hosts` does not name")
        if access and not _TOKEN.match(access):
            raise TokenRefused("its groups are behind a token that is none")
        reply = await self._fetcher.get(
            endpoint, bearer(Secret(access)) if access else None, accept="application/jwt"
        )
        if reply.status != 200:
            raise ProviderFailed(f"the claims endpoint answers with status {reply.status}")
        return reply.body

    async def _from_graph(
        self, wanted: DistributedSettings, endpoint: str, claims: Mapping[str, object]
    ) -> tuple[str, ...]:
        """Ask Microsoft Graph as the gateway itself: `directoryObject: getMemberObjects`."""

        def filled(match: re.Match[str]) -> str:
            value = claims.get(match[1])
            if not isinstance(value, str) or not value or value in (".", ".."):
                raise TokenRefused(f"it has no `{match[1]}`, which `distributed.endpoint` needs")
            return quote(value, safe="")

        authorization = await self._own.authorization(wanted.scope)
        reply = await self._fetcher.post_json(
            _PLACE.sub(filled, endpoint), {"securityEnabledOnly": False}, authorization
        )
        document = reply.json()
        if "@odata.nextLink" in document:
            raise TokenRefused(f"it has more than {MAX_GROUPS} groups")
        if not isinstance(document.get("value"), list):
            raise ProviderFailed("the directory answers without a list of groups")
        return group_list(document["value"])


class _OwnToken:
    """The gateway's own access token (client credentials, RFC 6749 §4.4), kept until shortly before its end."""

    def __init__(self, settings: OidcSettings, provider: Provider, fetcher: Fetcher) -> None:
        self._settings = settings
        self._provider = provider
        self._fetcher = fetcher
        self._lock = trio.Lock()
        self._kept: tuple[float, Secret] | None = None

    async def authorization(self, scope: str) -> Secret:
        async with self._lock:
            if self._kept is not None and trio.current_time() < self._kept[0]:
                return self._kept[1]
            endpoint = await self._provider.endpoint("token_endpoint")
            form = {"grant_type": "client_credentials", "scope": scope}
            answer = (await self._fetcher.post(endpoint, form, client_authorization(self._settings))).json()
            token, life = answer.get("access_token"), answer.get("expires_in", 0)
            if not isinstance(token, str) or not _TOKEN.match(token):
                raise ProviderFailed("the token endpoint gives the gateway no token of its own")
            seconds = life if isinstance(life, int) and not isinstance(life, bool) else 0
            made = bearer(Secret(token))
            self._kept = (trio.current_time() + min(seconds, 3_600) - SPARE, made)
            return made
