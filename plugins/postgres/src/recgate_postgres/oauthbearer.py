"""SASL OAUTHBEARER (RFC 7628) as PostgreSQL speaks it: a client shows a bearer token, or asks where to get one."""

from __future__ import annotations

import json
import re
from typing import Final

from recgate.errors import RemoteProtocolError
from recgate.model import Secret

__all__ = ["ACKNOWLEDGED", "MECHANISM", "parse_initial", "where_to_sign_in"]

MECHANISM: Final = "OAUTHBEARER"
ACKNOWLEDGED: Final = b"\x01"  # RFC 7628 §3.2.3: the client's answer to an error

_SEPARATOR: Final = b"\x01"
_PAIR: Final = re.compile(rb"([A-Za-z]+)=([\x20-\x7e\t\r\n]*)\Z")
# RFC 6750 §2.1: the credentials' alphabet. The scheme's name is not case-sensitive (RFC 9110 §11.1).
_BEARER: Final = re.compile(rb"bearer +([A-Za-z0-9\-._~+/]+=*)\Z", re.IGNORECASE)


def parse_initial(body: bytes) -> Secret | None:
    """Give the token of the client's first message (§3.1), or None if it only asks where to sign in.

    Raises:
        RemoteProtocolError: malformed, or what this mechanism cannot give: channel binding, somebody else's name.
    """
    header, comma, rest = body.partition(b",")
    if header.startswith(b"p="):
        raise _malformed("this mechanism has no channel binding")
    if header not in (b"n", b"y") or not comma:
        raise _malformed("its GS2 header")
    identity, comma, pairs = rest.partition(b",")
    if not comma:
        raise _malformed("its GS2 header")
    if identity:
        # Whom the token proves is whom it proves; the login name says who that is to be.
        raise _malformed("an authorization identity is not taken")
    return _token(_pairs(pairs))


def _pairs(text: bytes) -> dict[bytes, bytes]:
    if not text.startswith(_SEPARATOR) or not text.endswith(_SEPARATOR * 2):
        raise _malformed("its key/value pairs")
    found: dict[bytes, bytes] = {}
    for pair in text[1:-2].split(_SEPARATOR):
        match = _PAIR.match(pair)
        if match is None or match[1] in found:
            raise _malformed("its key/value pairs")
        found[match[1]] = match[2]
    return found


def _token(pairs: dict[bytes, bytes]) -> Secret | None:
    if b"auth" not in pairs:
        raise _malformed("it has no `auth`")
    if not pairs[b"auth"]:
        return None
    match = _BEARER.match(pairs[b"auth"])
    if match is None:
        raise _malformed("`auth` is no bearer token")
    return Secret(match[1])


def where_to_sign_in(issuer: str, scope: str) -> bytes:
    """The error that a client goes by to get a token (§3.2.2): whose, and with which scope."""
    discovery = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    return json.dumps(
        {"status": "invalid_token", "scope": scope, "openid-configuration": discovery}, separators=(",", ":")
    ).encode()


def _malformed(what: str) -> RemoteProtocolError:
    # Never a part of the message: it may hold the token.
    return RemoteProtocolError(f"malformed OAUTHBEARER message: {what}", hint="08P01")
