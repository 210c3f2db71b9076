"""Ways to sign in that a gateway offers: read with care, and one of them chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

from recgate.errors import RecgateError

__all__ = ["SignInSource", "Wish", "chosen", "is_web_address"]

KIND: Final = "oidc"
MAX_URL: Final = 2_048
MAX_WORDS: Final = 32
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_ADDRESS: Final = re.compile(r"[\x21-\x7e]+\Z")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a sign-in is to show: a level (`acr_values`, OpenID Connect Core §3.1.2.1), and that it is made now."""

    acr: str = ""
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class SignInSource:
    """An identity source that people sign in by, as the gateway advertises it.

    `says_issuer` is whether its answers name the issuer (RFC 9207 §3); `parameters` go into the address of its page.
    """

    name: str
    issuer: str
    client_id: str
    authorization_endpoint: str
    scopes: tuple[str, ...]
    flows: frozenset[str]
    says_issuer: bool = False
    parameters: Mapping[str, str] | None = None

    @property
    def browser(self) -> bool:
        """Whether it can be signed in by in a browser of this machine."""
        return "browser" in self.flows

    @property
    def device(self) -> bool:
        """Whether it can be signed in by with a code in any browser."""
        return "device" in self.flows


def is_web_address(text: str) -> bool:
    """Whether this may be shown as an address and given to a browser, which knows other kinds: `file:`, `-option`."""
    if len(text) > MAX_URL or not _ADDRESS.match(text):
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None


def chosen(login: Sequence[Mapping[str, object]], name: str, before: str = "") -> SignInSource:
    """Give the source called `name`, else the one signed in by `before`, else the only one.

    Raises:
        RecgateError: there is none, or it is not clear which; says what there is.
    """
    found = {each.name: each for row in login if (each := _source(row)) is not None}
    if not found:
        raise RecgateError(
            "this gateway has no source that `recgate login` could sign in by. Ask its administrator for a gateway "
            "token (`recgate token issue`) and give it as RECGATE_TOKEN, or to psql and ssh as the password."
        )
    names = ", ".join(sorted(found))
    if name:
        if name not in found:
            raise RecgateError(f"there is no source {name[:63]!r} to sign in by here. There is: {names}")
        return found[name]
    if before in found:
        return found[before]
    if len(found) > 1:
        raise RecgateError(f"there are several sources to sign in by: say --source with one of {names}")
    return next(iter(found.values()))


def _source(row: Mapping[str, object]) -> SignInSource | None:
    """Read an entry; one of another kind, or that cannot be used, is as if it were not there."""
    name, client = str(row.get("source", "")), str(row.get("client_id", ""))
    endpoint, issuer = str(row.get("authorization_endpoint") or ""), str(row.get("issuer", ""))
    flows = _words(row.get("flows"))
    if row.get("kind", KIND) != KIND or not _NAME.match(name) or not client:
        return None
    if not is_web_address(endpoint):
        flows = tuple(each for each in flows if each != "browser")
    more = row.get("parameters")
    pairs = cast("dict[str, object]", more).items() if isinstance(more, dict) else ()
    return SignInSource(
        name,
        issuer,
        client,
        endpoint,
        _words(row.get("scopes")),
        frozenset(flows),
        row.get("authorization_response_iss_parameter_supported") is True,
        {key: str(value) for key, value in list(pairs)[:MAX_WORDS]},
    )


def _words(value: object) -> tuple[str, ...]:
    words = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(str(each) for each in words[:MAX_WORDS])
