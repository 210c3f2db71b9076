"""A provider's public keys (RFC 7517): which one a token may have been signed with, and which one it may not.

Only the provider's own key set counts. What a token brings itself (`jwk`, `jku`, `x5c`, `x5u`) is never looked at.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.fetching import Fetcher
from recgate_oidc.refreshed import Refreshed

__all__ = ["Keys", "PublicKey", "read_keys"]

LIFETIME: Final = (
    600.0  # seconds that a key set counts; a key that is withdrawn is believed no longer than this
)
TOLERANCE: Final = 3_600.0  # seconds more while the provider does not answer
MAX_KEYS: Final = 200
MAX_KID: Final = 512  # characters
MIN_RSA: Final = 2_048  # bits, RFC 7518 §3.3
MAX_RSA: Final = 8_192  # bits; a larger one costs more to check than to forge
MAX_EXPONENT: Final = 8  # characters of `e`, which is 65537 everywhere

_CURVES: Final = {
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
    "Ed25519": "Ed25519",
}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key: `algorithm` is the only one that it may be used with, or "" for every one of its type."""

    kid: str
    kind: str
    curve: str
    algorithm: str
    key: RSAKey | ECKey | OKPKey

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash(self._facts())

    def _facts(self) -> tuple[str, str, str]:
        return self.kid, self.algorithm, self.key.thumbprint()

    def fits(self, algorithm: str) -> bool:
        """Say whether a signature of this algorithm can be of this key."""
        if self.algorithm and self.algorithm != algorithm:
            return False
        if algorithm.startswith(("RS", "PS")):
            return self.kind == "RSA"
        return self.curve == _CURVES.get(algorithm, "no curve")


class Keys:
    """The key set of a provider. An unknown key id has it looked for, though not as often as anybody likes.

    Args:
        uri: says where the set is.
        fetcher: gets it.
    """

    def __init__(self, uri: Callable[[], Awaitable[str]], fetcher: Fetcher) -> None:
        self._uri = uri
        self._fetcher = fetcher
        self._set = Refreshed(self._fetch, LIFETIME, TOLERANCE)

    async def key(self, kid: str, algorithm: str) -> PublicKey:
        """Give the one key that a token with this header is checked with; `kid` is "" when it names none.

        Raises:
            TokenRefused: there is none, or more than one.
            ProviderFailed: the set cannot be had.
        """
        if len(kid) > MAX_KID:
            raise TokenRefused("its key id is too long for one")
        known = await self._set.get()
        found = _fitting(known, kid, algorithm)
        if not found:
            found = _fitting(await self._set.newer(known), kid, algorithm)
        if not found:
            what = "it names a key that the provider does not have" if kid else "it names no key"
            raise TokenRefused(f"{what}, and none of the provider's fits")
        if len(found) > 1:
            raise TokenRefused("it could be of more than one of the provider's keys")
        return found[0]

    async def _fetch(self) -> tuple[PublicKey, ...]:
        uri = await self._uri()
        found = read_keys((await self._fetcher.get(uri)).json())
        if not found:
            raise ProviderFailed(f"{uri} has no key to check a signature with")
        return found


def _fitting(keys: Sequence[PublicKey], kid: str, algorithm: str) -> list[PublicKey]:
    return [each for each in keys if (not kid or each.kid == kid) and each.fits(algorithm)]


def read_keys(document: Mapping[str, object]) -> tuple[PublicKey, ...]:
    """Give the keys of a set that signatures can be checked with; others are left out (RFC 7517 §5).

    Raises:
        ProviderFailed: it is no key set, or one of more than `MAX_KEYS`.
    """
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise ProviderFailed("the provider's key set is none")
    entries = cast("list[object]", keys)
    if len(entries) > MAX_KEYS:
        raise ProviderFailed(f"the provider's key set has more than {MAX_KEYS} keys")
    found = (_key(cast("dict[str, object]", each)) for each in entries if isinstance(each, dict))
    return tuple(each for each in found if each is not None)


def _key(entry: dict[str, object]) -> PublicKey | None:
    kind, kid, use, algorithm = (entry.get(name, "") for name in ("kty", "kid", "use", "alg"))
    if not (
        isinstance(kind, str) and isinstance(kid, str) and isinstance(use, str) and isinstance(algorithm, str)
    ):
        return None
    operations = entry.get("key_ops")
    if use not in ("", "sig", "jwt-svid") or (operations is not None and "verify" not in _words(operations)):
        return None
    # Nothing but the public parts: a symmetric key is no key here, whatever the set says.
    parts = {name: entry[name] for name in ("n", "e", "crv", "x", "y") if name in entry}
    try:
        match kind:
            case "RSA":
                texts = _texts(parts, "n", "e")
                # Six bits a character, the first of which may be zero: looked at before anything is computed.
                if not MIN_RSA - 8 < len(texts["n"]) * 6 < MAX_RSA + 8 or len(texts["e"]) > MAX_EXPONENT:
                    return None
                return PublicKey(kid, kind, "", algorithm, RSAKey.import_key({"kty": "RSA", **texts}))
            case "EC":
                ec = ECKey.import_key({"kty": "EC", **_texts(parts, "crv", "x", "y")})
                return PublicKey(kid, kind, str(parts["crv"]), algorithm, ec)
            case "OKP" if parts.get("crv") == "Ed25519":
                okp = OKPKey.import_key({"kty": "OKP", **_texts(parts, "crv", "x")})
                return PublicKey(kid, kind, "Ed25519", algorithm, okp)
            case _:
                return None
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def _texts(parts: Mapping[str, object], *names: str) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for name in names:
        value = parts[name]
        if not isinstance(value, str):
            raise TypeError(name)
        found[name] = value
    return found


def _words(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
