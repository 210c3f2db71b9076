"""Who is this: evidence goes to the identity sources in order, slowly for whoever guesses, and into the audit trail.

The same for every way in: relays and drivers come by their door, the HTTPS listener's requests come here alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from recgate.dispatch import first_answer
from recgate.errors import AuthenticationFailed, RecgateError
from recgate.metrics import LOGINS
from recgate.model import (
    BearerEvidence,
    ConnectionInfo,
    Evidence,
    LoginName,
    PasswordEvidence,
    Principal,
    ScramEvidence,
    ScramKeys,
    VoucherEvidence,
)
from recgate.providers import Challenge, ClientAuthorities, Directory, Interactive
from recgate.sansio.asks import LoggedIn

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["SignIn"]

LOGIN_TIMEOUT: Final = 15.0  # seconds for the authenticators to answer
CHALLENGE_TIMEOUT: Final = 600.0  # seconds for a person to do what a challenge asks
GUESSABLE: Final = (
    PasswordEvidence,
    BearerEvidence,
    ScramEvidence,
)  # keys and certificates cannot be guessed


class SignIn:
    """One connection's questions to the identity sources. Keeps nothing: the guard remembers for all of them."""

    def __init__(self, gateway: Gateway, connection: ConnectionInfo) -> None:
        self._gateway = gateway
        self._connection = connection

    async def login(self, name: str, evidence: Evidence) -> LoggedIn:
        """Say who this is. Raises `AuthenticationFailed`, whose text is for the audit trail only."""
        login = LoginName.parse(name)
        guessable = isinstance(evidence, GUESSABLE)
        self._heard(login, guessable=guessable)
        if isinstance(evidence, VoucherEvidence):
            return await self._concluded(login, self._vouched)
        return await self._concluded(
            login,
            lambda: first_answer(
                self._gateway.registry.authenticators,
                lambda each: each.authenticate(login, evidence, self._connection),
            ),
            guessable=guessable,
        )

    async def _vouched(self) -> Principal | None:
        """Whom the tunnel knows, if that still stands."""
        voucher = self._connection.voucher
        if voucher is None:
            raise AuthenticationFailed("no tunnel vouches for this connection")
        for each in self._gateway.registry.authenticators:
            if each.name == voucher.principal.proven_by:
                return await each.current(voucher.principal)
        return None

    async def recognises(self, name: str, evidence: Evidence) -> bool:
        """Whether an identity source would take this key or certificate. Proves, counts and audits nothing.

        An SSH client asks before it signs; a no then costs it nothing, and no failed login is written down for
        every key that happens to be in its agent.
        """
        login = LoginName.parse(name)
        with trio.move_on_after(LOGIN_TIMEOUT):
            try:
                principal = await first_answer(
                    self._gateway.registry.authenticators,
                    lambda each: each.authenticate(login, evidence, self._connection),
                )
            except AuthenticationFailed:
                return False
            return principal is not None
        return False

    async def scram_keys(self, name: str) -> ScramKeys:
        """Give the keys that may prove `name`. Raises `AuthenticationFailed` if no source keeps such keys."""
        login = LoginName.parse(name)
        with trio.move_on_after(LOGIN_TIMEOUT):
            keys = await first_answer(
                self._gateway.registry.authenticators,
                lambda each: each.scram_keys(login, self._connection),
            )
            if keys is not None:
                return keys
        raise self._failed(login, "no identity source keeps SCRAM keys", "error")

    # -- what is done elsewhere --------------------------------------------------------------------------

    async def challenge(self, name: str) -> Challenge | None:
        """Begin what a person does elsewhere to prove who they are; None if no source offers it.

        Raises:
            AuthenticationFailed: this address must wait, or the source failed.
        """
        login = LoginName.parse(name)
        self._heard(login, guessable=True)
        for each in self._gateway.registry.authenticators:
            if not isinstance(each, Interactive):
                continue
            try:
                with trio.fail_after(LOGIN_TIMEOUT):
                    challenge = await each.challenge(login, self._connection)
            except trio.TooSlowError:
                raise self._failed(login, "the identity source did not answer in time", "error") from None
            except AuthenticationFailed as exc:
                raise self._failed(login, str(exc), "failed", tell=exc.tell) from None
            if challenge is not None:
                return challenge
        return None

    async def answered(self, name: str, challenge: Challenge) -> LoggedIn:
        """Wait until a challenge is met. Raises `AuthenticationFailed`; cancelling withdraws the challenge."""
        return await self._concluded(
            LoginName.parse(name), challenge.answer, guessable=True, limit=CHALLENGE_TIMEOUT
        )

    def client_authorities(self) -> str:
        """PEM of whose certificates clients are asked for. Raises `AuthenticationFailed` when there are none."""
        found = [
            each.client_authorities
            for each in self._gateway.registry.authenticators
            if isinstance(each, ClientAuthorities)
        ]
        if not any(found):
            raise AuthenticationFailed("no identity source takes TLS client certificates")
        return "".join(found)

    # -- how it ends -------------------------------------------------------------------------------------

    def _heard(self, login: LoginName, *, guessable: bool) -> None:
        """Raise unless an attempt from here is heard now."""
        if not guessable:
            return
        wait = self._gateway.guard.wait(self._connection.peer_host, login.claimed, trio.current_time())
        if wait > 0:
            raise self._failed(login, f"too many failures: heard again in {wait:.0f} s", "throttled")

    async def _concluded(
        self,
        login: LoginName,
        ask: Callable[[], Awaitable[Principal | None]],
        *,
        guessable: bool = False,
        limit: float = LOGIN_TIMEOUT,
    ) -> LoggedIn:
        """Have the answer, check what is true of every one, and tell the guard and the audit trail."""
        guard, host = self._gateway.guard, self._connection.peer_host
        try:
            with trio.fail_after(limit):
                principal = await ask()
            self._check(login, principal)
            assert principal is not None
            with trio.fail_after(LOGIN_TIMEOUT):
                await self._check_name(principal)
        except trio.Cancelled:
            if guessable and limit == LOGIN_TIMEOUT:
                # Or else whoever takes each guess back before it is judged could guess for ever. A code that somebody
                # did not enter is none.
                guard.failed(host, login.claimed, trio.current_time())
                self._failed(login, "the client did not wait for the answer", "withdrawn")
            raise
        except trio.TooSlowError:
            raise self._failed(login, "the identity source did not answer in time", "error") from None
        except AuthenticationFailed as exc:
            if guessable:
                guard.failed(host, login.claimed, trio.current_time())
            raise self._failed(login, str(exc), "failed", tell=exc.tell) from None
        guard.succeeded(host, login.claimed, trio.current_time())
        LOGINS.labels(self._connection.protocol, "ok").inc()
        return LoggedIn(principal, login.target)

    def _check(self, login: LoginName, principal: Principal | None) -> None:
        if principal is None:
            raise AuthenticationFailed("no identity source knows this credential")
        if login.claimed and login.claimed != principal.name:
            raise AuthenticationFailed("the credential belongs to somebody other than the login name claims")
        if principal.expires is not None and principal.expires <= time.time():
            raise AuthenticationFailed("the credential has expired")
        voucher = self._connection.voucher
        if voucher is not None and login.target != voucher.target:
            raise AuthenticationFailed(f"the tunnel leads to {voucher.target}, and to no other target")

    async def _check_name(self, principal: Principal) -> None:
        """Refuse whoever is called like a user of another source: rules go by the name, and mean the other one."""
        for each in self._gateway.registry.authenticators:
            if each.name == principal.proven_by or not isinstance(each, Directory):
                continue
            try:
                other = await each.lookup(principal.name)
            except RecgateError as exc:
                raise AuthenticationFailed(
                    f"{each.name}: cannot be asked for users of this name: {exc}"
                ) from exc
            if other is not None:
                raise AuthenticationFailed(
                    f"{each.name} has a user called {principal.name} as well, whom rules would mean. Set `prefix:` of "
                    f"{principal.proven_by}, or remove the one of {each.name}."
                )

    def _failed(self, login: LoginName, reason: str, outcome: str, *, tell: str = "") -> AuthenticationFailed:
        LOGINS.labels(self._connection.protocol, outcome).inc()
        self._gateway.audit.emit(
            "login.failed",
            protocol=self._connection.protocol,
            source=self._connection.peer,
            claimed=login.claimed[:200],
            target=login.target[:200],
            reason=reason,
        )
        return AuthenticationFailed(reason, tell=tell)
