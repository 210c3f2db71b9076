"""The routes of sign-in on the HTTPS listener: what `recgate login` and `recgate logout` talk to.

The gateway exchanges codes and asks after devices itself: neither the client's secret nor a refresh token ever reaches
whoever signs in.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, cast

import trio

from recgate.errors import AuthenticationFailed, ConfigurationError
from recgate.httpauth import Problem, Receive, Scope, Send, answer_json, connection_of, signing_in
from recgate.model import Principal, Secret
from recgate.signin import SignIn
from recgate_oidc.authenticator import OidcAuthenticator
from recgate_oidc.backchannel import NO_STORE, logged_out, read_logout_token, refused
from recgate_oidc.codes import ShownCode, TooManyCodes
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.grants import Code, Granted, NotYet
from recgate_oidc.logins import LOGGED_OUT, Login, LoginsFailed
from recgate_oidc.requests import (
    CERTIFICATE,
    DEVICE,
    LOGIN,
    CodeLogin,
    DeviceLogin,
    DeviceRequest,
    read_request,
)
from recgate_oidc.signins import AWAY, NotCertifiable, SignedIn, SignIns, as_principal, certifiable, refusing
from recgate_oidc.standing import CREDENTIAL

if TYPE_CHECKING:
    from recgate.gateway import Gateway

__all__ = ["Reception"]

BACKCHANNEL: Final = "/backchannel/"  # and the name of the source
REFUSED: Final = "the sign-in was refused; the gateway's audit trail says why"


class Reception:
    """The ASGI application below `prefix`."""

    def __init__(self, gateway: Gateway, prefix: str) -> None:
        self._gateway = gateway
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises `Problem` before anything has begun."""
        path = str(scope["path"]).removeprefix(self._prefix)
        if path.startswith(BACKCHANNEL):
            path, scope["source"] = BACKCHANNEL, path.removeprefix(BACKCHANNEL)
        answers: dict[str, tuple[str, Callable[[Scope, Receive, Send], Awaitable[None]]]] = {
            "/sources": ("GET", self._sources),
            "/login": ("POST", self._login),
            "/device": ("POST", self._device),
            "/logout": ("POST", self._logout),
            "/renew-certificate": ("POST", self._renew_certificate),
            BACKCHANNEL: ("POST", self._backchannel),
        }
        method, answer = answers.get(path, ("", None))
        if answer is None or scope["type"] != "http":
            raise Problem(404, "there is nothing at this address")
        if scope.get("method") != method:
            raise Problem(405, f"this takes {method}", headers={"allow": method})
        try:
            await answer(scope, receive, send)
        except (LoginsFailed, ConfigurationError) as exc:
            # With a path of the gateway's in it, which is the operator's business.
            self._gateway.audit.emit("login.broken", source=connection_of(scope).peer, reason=str(exc))
            raise Problem(
                503, "the gateway cannot keep sign-ins at the moment; its audit trail says why"
            ) from exc

    # -- signing in --------------------------------------------------------------------------------------

    async def _sources(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = [await each.advertise() for each in self._authenticators()]
        await answer_json(send, 200, {"sources": [each for each in found if each is not None]})

    async def _device(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._heard(scope)
        request = await read_request(scope, receive, DEVICE)
        signins = self._source(request.source)
        connection = connection_of(scope)
        try:
            handle, shown = await signins.codes.begin(connection.peer_host, _wishes(request))
        except TooManyCodes as exc:
            raise Problem(429, exc.tell) from None
        except (TokenRefused, ProviderFailed) as exc:
            self._gateway.audit.emit("login.broken", source=connection.peer, reason=str(exc))
            raise Problem(503, AWAY) from None
        device = shown.device
        await answer_json(
            send,
            200,
            {
                "handle": handle,
                "user_code": device.user_code,
                "verification_uri": device.uri,
                "verification_uri_complete": device.whole_uri,
                "expires": device.life,
                "interval": device.interval,
            },
        )

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._heard(scope)
        request = await read_request(scope, receive, LOGIN)
        signins = self._source(request.source)
        if request.ssh_public_key:
            _check_key(request.ssh_public_key)  # before anything is used up
        if isinstance(request, CodeLogin):
            signing = _Signing(signins, lambda: signins.grants.by_code(_code(request)))
        else:
            shown = _shown(signins, request)
            shown.claim()
            signing = _Signing(signins, lambda: _entered(signins, shown, request.handle))
        try:
            await SignIn(self._gateway, connection_of(scope)).answered("", signing)
        except NotYet:
            assert isinstance(request, DeviceLogin)
            await answer_json(send, 202, {"interval": math.ceil(_shown(signins, request).interval)})
            return
        except AuthenticationFailed as exc:
            if signing.made is not None:  # the core let nobody in by it
                await signins.end(signing.made.login, "refused")
            raise Problem(403, exc.tell or REFUSED) from None
        assert signing.made is not None
        await self._welcome(scope, send, signins, signing.made, request.ssh_public_key)

    async def _welcome(self, scope: Scope, send: Send, signins: SignIns, made: SignedIn, key: str) -> None:
        login = made.login
        said = {
            "token": made.token.reveal().decode("ascii"),
            "expires": login.expires,
            "user": login.name,
            "groups": sorted(login.groups),
            "source": login.source,
        }
        if key:
            said["ssh_certificate"], said["ssh_certificate_expires"] = await signins.certify(login, key)
        admitted = cast("dict[str, object]", scope["state"]).get("admitted")
        if callable(admitted):
            admitted()
        self._gateway.audit.emit(
            "login.made",
            user=login.name,
            issuer=login.issuer,
            login=login.id,
            source=connection_of(scope).peer,
            acr=login.acr,
        )
        await answer_json(send, 200, said)

    # -- signed in ---------------------------------------------------------------------------------------

    async def _logout(self, scope: Scope, receive: Receive, send: Send) -> None:
        signins, login = await self._own(scope)
        await signins.end(login, "signed out")
        self._gateway.recheck()
        self._left(login, "signed out")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def _renew_certificate(self, scope: Scope, receive: Receive, send: Send) -> None:
        signins, login = await self._own(scope)
        request = await read_request(scope, receive, CERTIFICATE)
        _check_key(request.ssh_public_key)
        line, end = await signins.certify(login, request.ssh_public_key)
        await answer_json(send, 200, {"ssh_certificate": line, "expires": end})

    async def _own(self, scope: Scope) -> tuple[SignIns, Login]:
        """Give the sign-in by whose token this is asked, and nobody else's."""
        principal: Principal = await signing_in(self._gateway, scope)
        identifier = principal.credential_id.removeprefix(CREDENTIAL)
        if principal.method == "login" and identifier != principal.credential_id:
            signins = self._source(principal.proven_by)
            login = await signins.logins.by_id(identifier)
            if login is not None:
                return signins, login
        raise Problem(403, "this is for the token of a sign-in: `recgate login` gets one")

    # -- at the provider ---------------------------------------------------------------------------------

    async def _backchannel(self, scope: Scope, receive: Receive, send: Send) -> None:
        signins = self._source(str(scope["source"]))
        token = await read_logout_token(scope, receive)
        peer = connection_of(scope).peer
        try:
            ended = await logged_out(signins, token)
        except TokenRefused as exc:
            # Not counted as guesses: nobody may keep a provider from being heard by forging at its address.
            self._gateway.audit.emit("logout.refused", source=peer, reason=f"{signins.source.name}: {exc}")
            raise refused("this logout is refused; the gateway's audit trail says why") from None
        except ProviderFailed as exc:
            self._gateway.audit.emit("login.broken", source=peer, reason=str(exc))
            raise Problem(503, AWAY, headers=NO_STORE) from None
        self._gateway.recheck()
        for each in ended:
            self._left(each, LOGGED_OUT)
        await answer_json(send, 200, {}, headers=NO_STORE)

    def _left(self, login: Login, why: str) -> None:
        self._gateway.audit.emit(
            "login.ended", user=login.name, issuer=login.issuer, login=login.id, reason=why
        )

    # -- what they share ---------------------------------------------------------------------------------

    def _authenticators(self) -> list[OidcAuthenticator]:
        return [each for each in self._gateway.registry.authenticators if isinstance(each, OidcAuthenticator)]

    def _source(self, name: str) -> SignIns:
        for each in self._authenticators():
            if each.name == name and each.signins is not None and each.source.settings.signs_in:
                return each.signins
        raise Problem(
            404, "nobody signs in with a source of that name here: `/.well-known/recgate` lists them"
        )

    def _heard(self, scope: Scope) -> None:
        """Raise unless this address is heard now."""
        wait = self._gateway.guard.wait(connection_of(scope).peer_host, "", trio.current_time())
        if wait > 0:
            raise Problem(
                429,
                f"too many failures from this address: try again in {wait:.0f} s",
                headers={"retry-after": str(math.ceil(wait))},
            )


class _Signing:
    """A sign-in in the making (`Challenge`): the core counts and audits how it ends, as of every way in."""

    text = ""

    def __init__(self, signins: SignIns, granted: Callable[[], Awaitable[Granted]]) -> None:
        self._signins = signins
        self._granted = granted
        self.made: SignedIn | None = None

    async def answer(self) -> Principal:
        """Raises `AuthenticationFailed`, or `NotYet`."""
        with refusing(self._signins.source.name):
            self.made = await self._signins.begin(await self._granted())
        return as_principal(self.made.login, "login")


async def _entered(signins: SignIns, shown: ShownCode, handle: str) -> Granted:
    try:
        granted = await shown.ask()
    except NotYet:
        raise
    except TokenRefused:
        signins.codes.close(handle)
        raise
    signins.codes.close(handle)
    return granted


def _code(request: CodeLogin) -> Code:
    return Code(Secret(request.code), Secret(request.code_verifier), request.redirect_uri, request.nonce)


def _shown(signins: SignIns, request: DeviceLogin) -> ShownCode:
    shown = signins.codes.find(request.handle)
    if shown is None:
        raise Problem(410, "this code is over: begin again")
    return shown


def _wishes(request: DeviceRequest) -> dict[str, str]:
    wishes = {"acr_values": request.acr} if request.acr else {}
    return {**wishes, "prompt": "login", "max_age": "0"} if request.fresh else wishes


def _check_key(line: str) -> None:
    try:
        certifiable(line)
    except NotCertifiable as exc:
        raise Problem(400, str(exc)) from None
