"""What the configuration says of one identity provider, and what is refused before anybody signs in through it."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from recgate.config import ConfiguredPath, Duration, Settings, SourceSettings, is_loopback

__all__ = [
    "ClaimPath",
    "DistributedSettings",
    "IntrospectionSettings",
    "MachineRule",
    "OidcSettings",
    "claim_path",
    "is_usable_url",
]

# Asymmetric only: with a symmetric one everybody who can check a token can make one (threat 4).
Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"
]
ALGORITHMS: Final[tuple[Algorithm, ...]] = ("RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
MAX_RULES: Final = 1_000  # machine rules and mapped names of one source
SPIFFE: Final = "spiffe://"
_TRUST_DOMAIN: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}\Z")

ClaimPath = str | tuple[str, ...]


def claim_path(name: ClaimPath) -> tuple[str, ...]:
    """Take a claim's name apart: `realm_access.roles` is nested, a URL or a list of names is as it stands."""
    if isinstance(name, tuple):
        return name
    return (name,) if "://" in name else tuple(name.split("."))


def is_usable_url(url: str, *, loopback: bool = True) -> bool:
    """Say whether tokens and keys may be fetched there: https, or http that does not leave this machine."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (loopback and parts.scheme == "http" and is_loopback(host))


def _url(url: str) -> str:
    if not is_usable_url(url):
        raise ValueError("should be an https:// address (http:// for a loopback address only)")
    return url


def _issuer(issuer: str) -> str:
    if _TRUST_DOMAIN.match(issuer):
        return issuer
    if not is_usable_url(issuer) or urlsplit(issuer).query:
        raise ValueError(
            "should be the provider's issuer, exactly as its tokens say it: an https:// address without a query "
            "(http:// for a loopback address only), or spiffe://TRUST-DOMAIN"
        )
    return issuer


def _path(name: ClaimPath) -> ClaimPath:
    path = claim_path(name)
    if not path or len(path) > 8 or not all(path):
        raise ValueError(
            "should name a claim, such as groups or realm_access.roles, or list the names of a path"
        )
    return name


Url = Annotated[str, AfterValidator(_url)]
Claim = Annotated[ClaimPath, AfterValidator(_path)]


class IntrospectionSettings(Settings):
    """`introspection:` — ask the provider what a token is (RFC 7662)."""

    endpoint: Url | None = Field(default=None, description="by default the one that discovery names")
    jwt: bool = Field(
        default=False,
        description="ask about tokens that could be checked here as well, so that revocation is seen",
    )
    cache: Annotated[Duration, Field(ge=0, le=30)] = Field(
        default=10.0, description="how long an answer is believed; at most 30 s (threat 6)"
    )


class DistributedSettings(Settings):
    """`distributed:` — where claims are that are not in the token (OpenID Connect Core §5.6.2)."""

    hosts: tuple[str, ...] = Field(
        default=(),
        description="hosts that a token may send the gateway to for its groups; none means the issuer's",
    )
    endpoint: Url | None = Field(
        default=None,
        description="Microsoft Graph's `…/users/{oid}/getMemberObjects`: asked instead of what the token says",
    )
    scope: str = Field(
        default="https://graph.microsoft.com/.default", description="scope of the gateway's own token there"
    )


class MachineRule(Settings):
    """One entry of `machines:` — which programs sign in, as what.

    In patterns `*` is any run of characters but `:` and `/`, `**` any run at all; everything else is exact.
    """

    subject: str = Field(default="**", min_length=1, description="pattern of `sub`")
    claims: dict[str, str] = Field(
        default_factory=dict[str, str], description="patterns of further claims, all of which must be there"
    )
    user: str | None = Field(default=None, description="what it is called; by default its `sub`")
    groups: tuple[str, ...] = Field(default=(), description="groups that it is in; claims add none")

    @model_validator(mode="after")
    def _says_something(self) -> MachineRule:  # noqa: N804 - an "after" validator has the model
        if self.subject == "**" and not self.claims:
            raise ValueError(
                "a machine rule without a subject and claims would let in every program of the issuer"
            )
        return self


class OidcSettings(SourceSettings):
    """`identity: [{oidc: {…}}]` — one provider, or one issuer of machine identities."""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        description="the provider, exactly as tokens say it in `iss`; `spiffe://TRUST-DOMAIN` for JWT-SVIDs without one"
    )
    client_id: str = Field(
        default="", description="the gateway's own client, for signing in; not needed for machines alone"
    )
    client_secret_file: ConfiguredPath | None = Field(
        default=None,
        description="file with the client's secret, for introspection and for confidential clients",
    )
    audience: str = Field(
        default="",
        description=(
            "what access tokens must be made out to, other than `client_id`: raw access tokens are refused without one"
        ),
    )
    user_claim: Claim = Field(
        default="sub", description="claim that names the user; `email` counts only with `email_verified`"
    )
    users_map: dict[str, str] = Field(
        default_factory=dict[str, str],
        max_length=MAX_RULES,
        description="values of `user_claim` that go by another name",
    )
    groups_claim: Claim = Field(
        default="groups",
        description="claim with the groups; dots lead into it (`realm_access.roles`), as does a list",
    )
    groups_from: Literal["claim", "userinfo", "distributed"] = Field(
        default="claim",
        description="whether the claim is in the token, at the userinfo endpoint, or where the token points",
    )
    groups_map: dict[str, str] = Field(
        default_factory=dict[str, str],
        max_length=MAX_RULES,
        description="groups that go by another name, before the prefix",
    )
    groups_only_mapped: bool = Field(
        default=False, description="whether groups outside `groups_map` are left out"
    )
    scopes: tuple[str, ...] = Field(
        default=("openid", "profile", "email", "offline_access"),
        description="what is asked for when somebody signs in",
    )
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = Field(
        default=ALGORITHMS, description="signatures that are taken; there is no symmetric one"
    )
    typ: Literal["any", "at+jwt"] = Field(
        default="any", description="`at+jwt` takes only access tokens that say so in their header (RFC 9068)"
    )
    jwks_uri: Url | None = Field(
        default=None, description="keys of the issuer, where there is no discovery document"
    )
    ca: ConfiguredPath | None = Field(
        default=None, description="authorities of the provider (PEM); by default the system's"
    )
    leeway: Annotated[Duration, Field(ge=0, le=120)] = Field(
        default=10.0, description="how far the provider's clock may be off"
    )
    introspection: IntrospectionSettings | None = Field(
        default=None, description="ask the provider about tokens (RFC 7662)"
    )
    distributed: DistributedSettings | None = Field(
        default=None, description="with `groups_from: distributed`"
    )
    machines: tuple[MachineRule, ...] = Field(
        default=(),
        max_length=MAX_RULES,
        description="programs that sign in with tokens of this issuer; the first that fits counts",
    )
    people: bool | None = Field(
        default=None,
        description="whether tokens that no machine rule fits are people's; by default if there is no such rule",
    )
    poll: Annotated[Duration, Field(gt=0, le=30)] = Field(
        default=15.0, description="how often userinfo or introspection is asked after somebody with a session"
    )

    poll_by: Literal["userinfo", "refresh"] = Field(
        default="userinfo",
        description="what tells whether a sign-in stands; `refresh` where userinfo does not notice a revocation",
    )
    outage: Annotated[Duration, Field(ge=0, le=3_600)] = Field(
        default=30.0, description="how long the last good answer counts while the provider does not answer"
    )
    login_ttl: Annotated[Duration, Field(ge=60, le=30 * 86_400)] = Field(
        default=12 * 3_600.0,
        description="how long a sign-in lasts at most; without a refresh token it ends with the access token",
    )
    certificate_ttl: Annotated[Duration, Field(ge=60, le=86_400)] = Field(
        default=3_600.0, description="how long an SSH certificate of a sign-in can be used to log in"
    )

    @property
    def signs_in(self) -> bool:
        """Whether people can sign in with it here: `recgate login`, or the code in a terminal."""
        return bool(self.client_id) and self.takes_people

    @property
    def brings_groups(self) -> bool:
        """Whether the provider says which groups people are in, and more than `groups_map` names."""
        return self.takes_people and not self.groups_only_mapped

    @property
    def takes_people(self) -> bool:
        """Whether a token that no machine rule fits may be a person's."""
        return not self.machines if self.people is None else self.people

    @property
    def trust_domain(self) -> str:
        """`spiffe://TRUST-DOMAIN`, or "" for an issuer that is an address."""
        return self.issuer if self.issuer.startswith(SPIFFE) else ""

    @model_validator(mode="after")
    def _fits_together(self) -> OidcSettings:  # noqa: N804 - an "after" validator has the model
        problem = _wrong_identity(self) or _wrong_questions(self)
        if problem:
            raise ValueError(problem)
        return self


def _wrong_identity(it: OidcSettings) -> str:
    if not it.client_id and not it.audience:
        return "needs `client_id` (for signing in), `audience` (for access tokens), or both"
    if it.client_id and it.client_id == it.audience:
        return (
            "`audience` is the same as `client_id`, and then an ID token could not be told from an access token; "
            "register an API or resource of its own at the provider"
        )
    if it.machines and not it.audience:
        return "`machines` needs `audience`: what their tokens are made out to"
    if not it.machines and it.people is False:
        return "`people: false` without `machines` lets nobody in"
    if it.trust_domain and (it.jwks_uri is None or it.takes_people or it.client_id):
        return "an issuer spiffe://… needs `jwks_uri` and `machines`, and has no people and no `client_id`"
    if it.takes_people and any(rule.user is None for rule in it.machines):
        return "with `people: true` every entry of `machines` needs `user`, so that no program is called like a person"
    if {rule.user for rule in it.machines}.intersection(it.users_map.values()):
        return "`users_map` gives somebody the name of a program of `machines`"
    mapped = list(it.users_map.values())
    if len(set(mapped)) != len(mapped):
        return "`users_map` gives two users one name"
    return ""


def _wrong_questions(it: OidcSettings) -> str:
    if it.introspection is not None and not (it.client_id and it.client_secret_file):
        return "`introspection` needs `client_id` and `client_secret_file`"
    if (it.groups_from == "distributed") != (it.distributed is not None):
        return "`groups_from: distributed` and `distributed` go together: set both or none"
    endpoint = it.distributed.endpoint if it.distributed is not None else None
    if endpoint is not None and "{" in urlsplit(endpoint).netloc:
        return "`distributed.endpoint` has a place for a claim in its host, which no token may choose"
    if endpoint is not None and not (it.client_id and it.client_secret_file):
        return (
            "`distributed.endpoint` needs `client_id` and `client_secret_file`, to ask as the gateway itself"
        )
    if it.client_secret_file is not None and not it.client_id:
        return "`client_secret_file` needs `client_id`"
    return ""
