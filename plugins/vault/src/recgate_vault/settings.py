"""Where the vault is and how the gateway logs in to it, as the configuration says it."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo

from recgate.config.values import ConfiguredPath, Duration, Settings, check_host, is_loopback

__all__ = [
    "FIELDS",
    "AppRoleAuth",
    "AuthSettings",
    "CertificateAuth",
    "JwtAuth",
    "KubernetesAuth",
    "OnBehalf",
    "TokenAuth",
    "TransitSettings",
    "VaultSettings",
]

M = TypeVar("M", bound=Settings)

# What a credential is made of; an entry's own names are mapped to these.
FIELDS: Final = ("username", "password", "private_key", "certificate")
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_MOUNT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*\Z")


def _vault_name(name: str) -> str:
    # It is the word before the colon in `credential:`, and a part of every lease's name.
    if not _NAME.match(name):
        raise ValueError("should have lower-case letters, digits, dot, dash and underscore, at most 63")
    return name


def _mount(path: str) -> str:
    if len(path) > 200 or not _MOUNT.match(path):
        raise ValueError("should be a path such as `approle` or `team/approle`, without slashes at its ends")
    return path


def _private(path: Path, info: ValidationInfo) -> Path:
    """Refuse a file that others may read, where it can be seen from here; it is looked at again when it is used."""
    context = cast("dict[str, object]", info.context or {})
    base = context.get("base")
    if isinstance(base, Path):
        try:
            mode = stat.S_IMODE((base / path.expanduser()).stat().st_mode)
        except OSError:
            return path  # made later, or not for the eyes of whoever checks the configuration
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"others may read it (mode {mode:04o}). Run `chmod 600 {path}`")
    return path


def _address(address: str) -> str:
    parts = urlsplit(address)
    wrong = ValueError("should be https://HOST:PORT, such as https://vault.internal:8200")
    try:
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("https", "http") or not host or parts.username is not None:
        raise wrong
    if parts.path not in ("", "/") or parts.query or parts.fragment or "?" in address or "#" in address:
        raise wrong
    check_host(host)
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError(
            "would send tokens and secrets in the clear; use https://, or http:// on loopback only"
        )
    return address.rstrip("/")


def _exactly_one(*names: str) -> Callable[[M], M]:
    def check(model: M) -> M:
        if sum(getattr(model, name) is not None for name in names) != 1:
            raise ValueError(f"should have exactly one of {', '.join(names)}")
        return model

    return check


PrivatePath = Annotated[ConfiguredPath, AfterValidator(_private)]
Mount = Annotated[str, AfterValidator(_mount)]
Named = Annotated[str, Field(min_length=1, max_length=512, pattern=r"\A[^\s\x00-\x1f]+\z")]


class TokenAuth(Settings):
    """A token that somebody else makes and keeps alive. Exactly one of file and environment."""

    file: PrivatePath | None = Field(
        default=None, description="a file with the token, read again when the token has ended"
    )
    environment: str | None = Field(default=None, description="a variable with the token")


class AppRoleAuth(Settings):
    """AppRole: a role's id, and a secret id where the role wants one."""

    role_id: Named | None = Field(default=None, description="the role's id")
    role_id_file: ConfiguredPath | None = Field(default=None, description="a file with it, instead")
    secret_id_file: PrivatePath | None = Field(
        default=None, description="a file with the secret id, read at each login"
    )
    mount: Mount = Field(default="approle", description="where the auth method is mounted")


class KubernetesAuth(Settings):
    """Kubernetes: the service account of the gateway's pod."""

    role: Named = Field(description="the role to log in as")
    # Kubernetes projects it readable by all in the pod, where nobody else is: no rights are asked for.
    token_file: ConfiguredPath = Field(
        default=SERVICE_ACCOUNT, description="the service account's token, read at each login"
    )
    mount: Mount = Field(default="kubernetes", description="where the auth method is mounted")


class JwtAuth(Settings):
    """JWT: an identity of the gateway's own, which somebody else signs and renews (workload identity)."""

    role: Named = Field(description="the role to log in as")
    token_file: ConfiguredPath = Field(description="a file with the JWT, read at each login")
    mount: Mount = Field(default="jwt", description="where the auth method is mounted")


class CertificateAuth(Settings):
    """A TLS client certificate."""

    certificate: ConfiguredPath = Field(description="chain (PEM)")
    key: PrivatePath = Field(description="its private key (PEM, not encrypted)")
    role: Named | None = Field(default=None, description="the role to log in as; by default whichever fits")
    mount: Mount = Field(default="cert", description="where the auth method is mounted")


class AuthSettings(Settings):
    """Exactly one of these."""

    token: Annotated[TokenAuth, AfterValidator(_exactly_one("file", "environment"))] | None = Field(
        default=None, description="a token that somebody else made"
    )
    approle: Annotated[AppRoleAuth, AfterValidator(_exactly_one("role_id", "role_id_file"))] | None = Field(
        default=None, description="AppRole"
    )
    kubernetes: KubernetesAuth | None = Field(default=None, description="the pod's service account")
    jwt: JwtAuth | None = Field(default=None, description="a JWT")
    certificate: CertificateAuth | None = Field(default=None, description="a TLS client certificate")


class OnBehalf(Settings):
    """A login for each session in its user's name, by a JWT that the gateway signs."""

    role: Named = Field(description="the role to log in as")
    audience: Named = Field(default="vault", description="`aud` of the JWT, which the role binds")
    mount: Mount = Field(default="jwt", description="where the auth method is mounted")


def _fields(fields: dict[str, str]) -> dict[str, str]:
    for name, theirs in fields.items():
        if name not in FIELDS:
            raise ValueError(f"{name!a} is no part of a credential; there are {', '.join(FIELDS)}")
        if not theirs or len(theirs) > 200 or not theirs.isprintable():
            raise ValueError(f"{name} should name a field of the vault's entries")
    return fields


class VaultSettings(Settings):
    """`vaults: [{vault: {…}}]` — an OpenBao or HashiCorp Vault server."""

    name: Annotated[str, AfterValidator(_vault_name)] = Field(
        default="vault", description="the word before the colon in `credential:`"
    )
    address: Annotated[str, AfterValidator(_address)] = Field(
        description="`https://host:port`; `http://` on loopback only"
    )
    ca: ConfiguredPath | None = Field(
        default=None, description="authorities (PEM) to believe, and no others; by default the system's"
    )
    namespace: Mount | None = Field(default=None, description="namespace of every path")
    auth: Annotated[AuthSettings, AfterValidator(_exactly_one(*AuthSettings.model_fields))] = Field(
        description="how the gateway logs in; exactly one of those below"
    )
    on_behalf: OnBehalf | None = Field(
        default=None,
        description="borrow in the name of each session's user; `auth` is for what the gateway does itself",
    )
    fields: Annotated[dict[str, str], AfterValidator(_fields)] = Field(
        default_factory=dict[str, str],
        description="names that username, password, private_key and certificate have in entries of the KV engine",
    )
    timeout: Annotated[Duration, Field(gt=0, le=120)] = Field(
        default=10.0, description="for one loan or renewal, login included; at most `limits.vault_timeout`"
    )
    workers: int = Field(
        default=8,
        ge=1,
        le=64,
        description="requests at once; a vault that hangs holds these and nothing else",
    )


class TransitSettings(Settings):
    """`gateway: keys: {transit: {…}}` — the gateway's own keys in the transit engine of a vault."""

    vault: Annotated[str, AfterValidator(_vault_name)] = Field(
        default="vault", description="the `name` of the entry of `vaults:` that is its server"
    )
    mount: Mount = Field(default="transit", description="where the transit engine is mounted")
