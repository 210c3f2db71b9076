"""A provider tells that somebody signed out there: what that sign-in opened here ends (Back-Channel Logout 1.0)."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

from recgate.httpauth import Problem, Receive, Scope, read_body
from recgate.model import Secret
from recgate_oidc.errors import TokenRefused
from recgate_oidc.logins import Login, Logout
from recgate_oidc.requests import media_type
from recgate_oidc.signins import SignIns
from recgate_oidc.tokens import LOGOUT_LIFE, moment

__all__ = ["NO_STORE", "logged_out", "read_logout_token", "refused"]

MAX_FORM: Final = 48 << 10  # bytes; a token has 16 KiB at most, and a form may write three for one
MAX_FIELDS: Final = 16
MAX_WORD: Final = 2_048  # characters of `sub`, `sid` and `jti`; the books have no longer ones
NO_STORE: Final = {"cache-control": "no-store"}  # §2.8


async def read_logout_token(scope: Scope, receive: Receive) -> Secret:
    """Read the form that a provider sends (§2.5). Raises `Problem`."""
    if media_type(scope) != "application/x-www-form-urlencoded":
        raise refused("this takes the form that a provider sends", status=415)
    body = await read_body(receive, MAX_FORM)
    try:
        form = parse_qs(body.decode("ascii"), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise refused("this is no form") from None
    found = form.get("logout_token", [])
    if len(found) != 1:
        raise refused("send one logout_token")
    return Secret(found[0])


async def logged_out(signins: SignIns, token: Secret) -> Sequence[Login]:
    """End the sign-ins that a logout token means, and give them. Their refresh tokens are forgotten.

    Raises:
        TokenRefused: it is no logout token of this provider's for the gateway, or was heard before.
        ProviderFailed: it cannot be checked now.
        LoginsFailed: nothing was written down, and nothing ended.
    """
    claims = await signins.source.tokens.logout(token.reveal())
    jti, subject, sid = (_word(claims, name) for name in ("jti", "sub", "sid"))
    leeway = signins.source.settings.leeway
    end = moment(claims, "exp")
    if end is None:
        end = (moment(claims, "iat") or time.time()) + LOGOUT_LIFE
    logout = Logout(signins.source.settings.issuer, jti, subject, sid, end + leeway)
    ended = await signins.logins.logged_out(signins.source.name, logout, time.time())
    if ended is None:
        raise TokenRefused("it was heard before")
    return ended


def _word(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_WORD:
        # Read as none it could mean somebody else, or nobody.
        raise TokenRefused(f"its `{name}` is none")
    return value


def refused(detail: str, *, status: int = 400) -> Problem:
    """Give the refusal of a logout, with the error code of §2.8."""
    return Problem(status, detail, headers=NO_STORE, more={"error": "invalid_request"})
