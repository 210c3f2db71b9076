"""One identity provider as configured, with everything that is asked of it. One per `oidc:` entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from recgate.model import Principal, Secret
from recgate_oidc.answers import fingerprint
from recgate_oidc.claims import found_at, group_names, prefixed_name, sign_in_facts, user_name
from recgate_oidc.errors import TokenRefused
from recgate_oidc.fetching import Fetcher
from recgate_oidc.introspection import Introspection, could_be_opaque
from recgate_oidc.jose import Unverified, take_apart
from recgate_oidc.keys import Keys
from recgate_oidc.machines import fitting_rule, is_a_programs
from recgate_oidc.provider import Provider
from recgate_oidc.settings import OidcSettings
from recgate_oidc.tokens import Tokens, could_be_id_token, is_declared, moment, subject_of
from recgate_oidc.userinfo import Userinfo

__all__ = ["Proven", "Source"]


@dataclass(frozen=True, slots=True)
class Proven:
    """Somebody, the verified claims that say so, and the access token that they were in or were asked for with."""

    principal: Principal
    claims: Mapping[str, object] = field(repr=False)
    token: Secret | None = None
    opaque: bool = False


class Source:
    """Everything of one provider. Every method raises `TokenRefused` and `ProviderFailed`, and nothing else.

    Args:
        settings: of the entry.
        foreign: prefixes of other sources: no name of this one may begin with any of them.
    """

    def __init__(self, settings: OidcSettings, foreign: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.foreign = foreign
        self.fetcher = Fetcher(settings.ca)
        self.provider = Provider(settings, self.fetcher)
        self.tokens = Tokens(settings, Keys(self._jwks_uri, self.fetcher))
        self.userinfo = Userinfo(settings, self.provider, self.fetcher, self.tokens)
        wanted = settings.introspection
        self.introspection = (
            Introspection(settings, wanted, self.provider, self.fetcher) if wanted is not None else None
        )

    @classmethod
    def of(cls, settings: OidcSettings, foreign: tuple[str, ...] = ()) -> Source:
        """Make it. Nothing is fetched: the provider may be away when the gateway starts."""
        return cls(settings, foreign)

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self.settings.name

    async def _jwks_uri(self) -> str:
        return self.settings.jwks_uri or (await self.provider.metadata()).jwks_uri

    async def proven(self, token: Secret) -> Proven | None:
        """Say whom a raw access token proves, or None if it is not one of this provider."""
        parts = take_apart(token.reveal())
        if parts is not None:
            return await self._by_claims(parts, token) if self.tokens.issued(parts) else None
        if self.introspection is None or not could_be_opaque(token.reveal()):
            return None
        claims = await self.introspection.active(token, strange=True)
        return None if claims is None else await self._whom(claims, token, "opaque")

    async def _by_claims(self, parts: Unverified, token: Secret) -> Proven:
        claims = await self.tokens.access(parts)
        await self._asked_after(token)
        return await self._whom(claims, token, "at+jwt" if is_declared(parts) else "jwt")

    async def _asked_after(self, token: Secret, *, anew: bool = False) -> None:
        wanted = self.settings.introspection
        if self.introspection is None or wanted is None or not wanted.jwt:
            return
        if await self.introspection.active(token, anew=anew) is None:
            raise TokenRefused("the provider says that it is not active (any more)")

    async def again(self, proven: Proven) -> Principal:
        """Give the principal of a raw token as the provider knows it now; the signature is not checked again.

        What the provider is asked is what `introspection` and `groups_from` say; without both it is asked nothing,
        and a token stands until it expires.
        """
        claims = proven.claims
        if proven.token is not None and proven.opaque and self.introspection is not None:
            active = await self.introspection.active(proven.token, anew=True)
            if active is None:
                raise TokenRefused("the provider says that it is not active (any more)")
            if active.get("sub") != proven.principal.subject:
                raise TokenRefused("the provider says that it is somebody else's now")
            claims = active
        elif proven.token is not None:
            await self._asked_after(proven.token, anew=True)
        if proven.principal.method == "machine":
            return proven.principal
        groups = await self.userinfo.groups(claims, proven.token, anew=True)
        return replace(proven.principal, groups=group_names(groups, self.settings, self.foreign))

    async def _whom(self, claims: Mapping[str, object], token: Secret, kind: str) -> Proven:
        """Say whose claims these are, of a token of a `kind`: `opaque`, `at+jwt`, or `jwt` which declares nothing."""
        rule = fitting_rule(self.settings.machines, claims)
        if rule is not None:
            if rule.user is None and any(subject_of(claims) == each.user for each in self.settings.machines):
                raise TokenRefused("its subject is called like the programs of another entry of `machines`")
            named = prefixed_name(rule.user or subject_of(claims), self.settings, self.foreign)
            groups = frozenset(self.settings.prefix + group for group in rule.groups)
            found = self._principal(claims, named, groups, "machine")
        elif not self.settings.takes_people:
            raise TokenRefused("no entry of `machines` fits it")
        elif is_a_programs(claims):
            raise TokenRefused("it is a program's own, and no entry of `machines` fits it")
        elif kind == "jwt" and could_be_id_token(claims):
            raise TokenRefused(
                "nothing in it says that it is no ID token: have the provider name a scope or client"
            )
        else:
            found = await self.person(claims, token, "opaque" if kind == "opaque" else "jwt")
        found = replace(found, credential_id=f"access:{fingerprint(token)}")
        return Proven(found, claims, token, kind == "opaque")

    async def person(self, claims: Mapping[str, object], token: Secret | None, method: str) -> Principal:
        """Give the principal of verified claims: of an access token, or of an ID token just issued to the gateway.

        `token` is the access token, where there is one; userinfo is asked with it if the claims do not say enough.
        """
        settings = self.settings
        about = claims
        if settings.groups_from == "userinfo" and found_at(claims, settings.user_claim) is None:
            about = {**await self.userinfo.claims(subject_of(claims), token), "sub": subject_of(claims)}
        name = user_name(about, settings, self.foreign)
        groups = group_names(await self.userinfo.groups(claims, token), settings, self.foreign)
        return self._principal(claims, name, groups, method)

    def _principal(
        self, claims: Mapping[str, object], name: str, groups: frozenset[str], method: str
    ) -> Principal:
        acr, amr, auth_time = sign_in_facts(claims)
        end = moment(claims, "exp")
        return Principal(
            issuer=self.settings.issuer,
            subject=subject_of(claims),
            name=name,
            groups=groups,
            method=method,
            expires=None if end is None else end + self.settings.leeway,
            source=self.name,
            acr=acr,
            amr=amr,
            auth_time=auth_time,
        )
