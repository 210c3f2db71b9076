"""What ends somebody's sessions before their time is over, and how soon this source hears of it: for `recgate whoami`.

It says what `standing` and `polling` do. A bare signed token of which the provider is asked nothing has none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from recgate.model import Principal
from recgate.providers import Ending
from recgate_oidc.logins import Login
from recgate_oidc.settings import OidcSettings

__all__ = ["of_login", "of_token"]

HERE = "the sign-in is ended here: `recgate logout`"
ACCOUNT = "the provider takes back your account or its access token (userinfo)"
GRANT = "the provider takes back the sign-in itself (its refresh token)"
GROUP = "a group is taken away at the provider"


def of_login(settings: OidcSettings, login: Login) -> Sequence[Ending]:
    """Say it of a sign-in made here."""
    endings = [Ending(HERE, 0.0)]
    by_refresh = login.refresh is not None and (not login.by_userinfo or settings.poll_by == "refresh")
    if by_refresh:
        endings.append(Ending(GRANT, settings.poll))
    if login.by_userinfo:
        endings.append(Ending(ACCOUNT, settings.poll))
    by_claims = settings.groups_from == "distributed" and login.by_userinfo
    if login.groups_by_userinfo or by_claims or by_refresh:
        endings.append(Ending(GROUP, settings.poll))
    return endings


def of_token(settings: OidcSettings, principal: Principal) -> Sequence[Ending]:
    """Say it of a raw access token."""
    endings: list[Ending] = []
    wanted = settings.introspection
    if wanted is not None and (wanted.jwt or principal.method == "opaque"):
        endings.append(Ending("the provider takes the token back (introspection)", settings.poll))
    if principal.method == "machine":
        return endings
    if settings.groups_from == "userinfo":
        endings.append(Ending(ACCOUNT, settings.poll))
    if settings.groups_from != "claim" or principal.method == "opaque":
        endings.append(Ending(GROUP, settings.poll))
    return endings
