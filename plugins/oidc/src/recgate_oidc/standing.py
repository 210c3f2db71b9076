"""Whether a sign-in still stands, as the provider knows it: asked by userinfo and by the refresh token (threat 6).

The provider is asked at most every `poll` seconds about one sign-in, and only while somebody uses it. What it takes
back is over. While it does not answer, its last good answer counts for `outage`, and never past the end of the access
token that it was asked with.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog
import trio

from recgate.model import Principal, Secret
from recgate_oidc.claims import called, found_at, group_list, group_names
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.grants import Granted, Grants, Issued
from recgate_oidc.logins import Login, Logins
from recgate_oidc.refreshtokens import RefreshTokens
from recgate_oidc.source import Source

__all__ = ["CREDENTIAL", "Standing"]

CREDENTIAL: Final = "login:"  # how the credential id of whoever comes by a sign-in begins
MAX_KEPT: Final = 20_000  # sign-ins whose access token is remembered; for others a new one is asked for
SHORT: Final = 60.0  # seconds that an access token counts where the provider does not say
EARLY: Final = 60.0  # seconds before its end at which it is renewed; half of a short life at most

log = structlog.get_logger("recgate.oidc")


@dataclass(slots=True)
class _Known:
    """What is known of one sign-in and kept in memory alone. `until` is wall-clock, `asked` trio's clock."""

    access: Secret | None = None
    until: float = 0.0
    renew_at: float = 0.0
    asked: float = -math.inf
    claims: Mapping[str, object] | None = None

    def got(self, issued: Issued, claims: Mapping[str, object] | None) -> None:
        life = SHORT if issued.life is None else issued.life
        self.access, self.until = issued.access, time.time() + life
        self.renew_at = self.until - min(EARLY, life / 2)
        if claims is not None:
            self.claims = claims


class Standing:
    """Judges the sign-ins of one source."""

    def __init__(self, source: Source, grants: Grants, logins: Logins, tokens: RefreshTokens) -> None:
        self._source = source
        self._grants = grants
        self._logins = logins
        self._tokens = tokens
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def begun(self, login: Login, granted: Granted) -> None:
        """Remember what was just granted for a sign-in."""
        known = self._of(login.id)
        known.got(granted.issued, granted.claims)
        known.asked = trio.current_time()

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal of a sign-in as it stands now, or None. Raises as `judged` does."""
        login = await self.judged(principal.credential_id.removeprefix(CREDENTIAL))
        return None if login is None else replace(principal, groups=login.groups, expires=login.expires)

    async def judged(self, identifier: str) -> Login | None:
        """Give a sign-in if it stands, as the provider knows it now.

        Raises:
            LoginsFailed: the books cannot be read or written.
            ConfigurationError: the key of refresh tokens cannot be read.
            ProviderFailed: the provider has not answered for longer than its last answer counts.
        """
        async with self._logins.lock(identifier):
            known = self._of(identifier)
            login = await self._logins.by_id(identifier)
            if login is None or login.status(time.time()) != "valid" or not self._is_ours(login):
                return None
            now, settings = trio.current_time(), self._source.settings
            if now - known.asked < settings.poll and time.time() < known.until:
                return login
            try:
                login = await self._asked(login, known)
            except TokenRefused as exc:
                log.info("login.refused", login=login.id, source=self._source.name, reason=str(exc))
                await self._logins.revoke([login.id], time.time(), str(exc))
                self._known.pop(identifier, None)
                return None
            except ProviderFailed:
                if trio.current_time() - known.asked < settings.outage and time.time() < known.until:
                    return await self._logins.by_id(identifier)  # with what was still learnt
                raise
            known.asked = now  # when it was asked: what happened since is not in the answer
            return login

    def _is_ours(self, login: Login) -> bool:
        settings = self._source.settings
        return settings.signs_in and login.source == settings.name and login.issuer == settings.issuer

    def _of(self, identifier: str) -> _Known:
        known = self._known.setdefault(identifier, _Known())
        self._known.move_to_end(identifier)
        while len(self._known) > MAX_KEPT:
            self._known.popitem(last=False)
        return known

    # -- what the provider is asked ----------------------------------------------------------------------

    async def _asked(self, login: Login, known: _Known) -> Login:
        renewed = False
        if login.refresh is not None and self._is_due(login, known):
            login, renewed = await self._renewed(login, login.refresh, known), True
        if not login.by_userinfo or known.access is None:
            return login  # nothing else can be asked
        try:
            return await self._by_userinfo(login, known.access, known)
        except TokenRefused:
            # A provider may end an access token before its time, and the sign-in not.
            if renewed or login.refresh is None:
                raise
            login = await self._renewed(login, login.refresh, known)
        assert known.access is not None
        return await self._by_userinfo(login, known.access, known)

    def _is_due(self, login: Login, known: _Known) -> bool:
        if not login.by_userinfo or self._source.settings.poll_by == "refresh":
            return True  # nothing else tells whether the sign-in stands
        return known.access is None or time.time() >= known.renew_at

    async def _renewed(self, login: Login, sealed: bytes, known: _Known) -> Login:
        refresh = await trio.to_thread.run_sync(self._tokens.opened, sealed, login.id, login.issuer)
        await self._grants.ready()
        # An answer that is not read, or not written down, is a sign-in lost: the old token is used up by then. It is
        # bounded by the time limits of one request and of the books.
        issued: Issued | None = None
        with trio.CancelScope(shield=True):
            issued = await self._grants.renewed(refresh)
            if issued.refresh is not None:
                sealed = await trio.to_thread.run_sync(
                    self._tokens.sealed, issued.refresh, login.id, login.issuer
                )
                await self._logins.renewed(login.id, sealed)
                login = replace(login, refresh=sealed)
        assert issued is not None  # nobody cancels the shield
        claims = await self._grants.claims(issued, login.subject)
        if claims is not None:
            person = await self._source.person(claims, issued.access, "login")
            if person.name != login.name:
                # Somebody else may go by the old name by now (threat 5).
                raise TokenRefused("its user is called something else now")
            if not login.groups_by_userinfo:
                login = await self._regrouped(login, person.groups)
        known.got(issued, claims)  # last: what was not looked at is asked for again
        return login

    async def _by_userinfo(self, login: Login, access: Secret, known: _Known) -> Login:
        source, settings = self._source, self._source.settings
        about = await source.userinfo.claims(login.subject, access, anew=True)
        name = found_at(about, settings.user_claim)
        if isinstance(name, str) and called(name, settings) != login.name:
            raise TokenRefused("its user is called something else now")
        if login.groups_by_userinfo:
            said = group_list(found_at(about, settings.groups_claim))
        elif settings.groups_from == "distributed" and known.claims is not None:
            said = await source.userinfo.groups(known.claims, access)
        else:
            return login
        return await self._regrouped(login, group_names(said, settings, source.foreign))

    async def _regrouped(self, login: Login, groups: frozenset[str]) -> Login:
        if groups == login.groups:
            return login
        await self._logins.regrouped(login.id, groups)
        return replace(login, groups=groups)
