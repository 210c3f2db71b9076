"""From what a provider granted to a sign-in here, and back: the token and the certificates that stand for it."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import trio
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from recgate.errors import AuthenticationFailed, ConfigurationError, RecgateError
from recgate.keys import usercertificates
from recgate.keys.usercertificates import SIGN_IN, Certifiable
from recgate.model import Principal, Secret
from recgate_oidc.claims import found_at, group_list, group_names
from recgate_oidc.codes import Codes
from recgate_oidc.errors import ProviderFailed, TokenRefused
from recgate_oidc.grants import Granted, Grants, NotYet
from recgate_oidc.logins import IssuedCertificate, Login, Logins, LoginsFailed, new_token
from recgate_oidc.refreshtokens import RefreshTokens
from recgate_oidc.standing import CREDENTIAL, Standing
from recgate_oidc.tokens import moment

if TYPE_CHECKING:
    from recgate.keys import GatewayKeys
    from recgate_oidc.source import Source

__all__ = ["AWAY", "NotCertifiable", "SignIns", "SignedIn", "as_principal", "certifiable", "refusing"]

MAX_SID: Final = 1_024  # characters of a provider's session
RSA_BITS: Final = (2_048, 8_192)
OVER: Final = "Your sign-in is over: run `recgate login`."
AWAY: Final = "The identity provider cannot be asked at the moment; try again later."


class NotCertifiable(RecgateError):
    """The public key is none, or not of a kind that is certified here."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A sign-in that has just been made; `token` stands for it."""

    login: Login
    token: Secret


class SignIns:
    """The sign-ins of one source: made, found by what a client shows, and certified."""

    def __init__(self, source: Source, logins: Logins, keys: GatewayKeys) -> None:
        self.source = source
        self.logins = logins
        self.grants = Grants(source.settings, source.provider, source.fetcher, source.tokens)
        self.keys = keys
        self._refresh_tokens = RefreshTokens(keys.directory)
        self.standing = Standing(source, self.grants, logins, self._refresh_tokens)
        self.codes = Codes(self.grants)

    # -- made --------------------------------------------------------------------------------------------

    async def begin(self, granted: Granted, *, lasting: bool = True) -> SignedIn:
        """Make a sign-in of what the provider granted. Without `lasting` nobody can come in by it a second time.

        Raises:
            TokenRefused: the provider vouches for nobody who could be let in.
            ProviderFailed: it cannot be asked for the rest.
            LoginsFailed, ConfigurationError: it cannot be written down.
        """
        source, issued = self.source, granted.issued
        person = await source.person(granted.claims, issued.access, "login")
        identifier, now = secrets.token_hex(6), time.time()
        refresh = None
        if issued.refresh is not None:
            refresh = await trio.to_thread.run_sync(
                self._refresh_tokens.sealed, issued.refresh, identifier, person.issuer
            )
        sid = granted.claims.get("sid")
        login = Login(
            id=identifier,
            source=source.name,
            issuer=person.issuer,
            subject=person.subject,
            name=person.name,
            groups=person.groups,
            issued=now,
            expires=_end(granted, now, source.settings.login_ttl),
            sid=sid if isinstance(sid, str) and len(sid) <= MAX_SID else "",
            acr=person.acr,
            amr=person.amr,
            auth_time=person.auth_time,
            refresh=refresh,
        )
        login = await self._by_userinfo(login, granted)
        token = new_token()
        await self.logins.add(login, token if lasting else None)
        self.standing.begun(login, granted)
        return SignedIn(login, token)

    async def _by_userinfo(self, login: Login, granted: Granted) -> Login:
        """Find out whether userinfo answers for it, and says the same groups: then what it says later counts."""
        settings = self.source.settings
        try:
            about = await self.source.userinfo.claims(login.subject, granted.issued.access)
            said = found_at(about, settings.groups_claim)
            same = said is not None and login.groups == group_names(
                group_list(said), settings, self.source.foreign
            )
        except (TokenRefused, ProviderFailed):
            return login
        follows = settings.groups_from == "userinfo" or (settings.groups_from == "claim" and same)
        return replace(login, by_userinfo=True, groups_by_userinfo=follows)

    # -- found -------------------------------------------------------------------------------------------

    async def by_token(self, token: Secret) -> Principal | None:
        """Say whose sign-in a gateway token stands for; None if it is another source's.

        Raises:
            AuthenticationFailed: it is unknown, or over; or the provider cannot be asked.
        """
        with refusing(self.source.name):
            login = await self.logins.by_token(token)
            if login is None:
                raise AuthenticationFailed(f"{self.source.name}: no such sign-in")
            return await self._principal(login, "login")

    async def by_certificate(self, blob: bytes) -> Principal | None:
        """Say whose sign-in an SSH certificate stands for; None if it stands for none, or for another source's.

        Raises:
            AuthenticationFailed: it is ours, and forged, unknown, or over; or the provider cannot be asked.
        """
        with refusing(self.source.name):
            authority = self.keys.ssh_user_ca.public_key()
            proven = usercertificates.check(blob, authority, time.time())
            if proven is None or not proven.key_id.startswith(SIGN_IN):
                return None
            found = await self.logins.by_serial(proven.serial)
            if found is None:
                # Signed by our key, and not by us: either the sign-in is long over, or the key is in other hands.
                raise AuthenticationFailed(f"{self.source.name}: no such certificate was issued")
            certificate, login = found
            if login.name != proven.user or certificate.expires != proven.expires:
                raise AuthenticationFailed(f"{self.source.name}: the certificate is not as it was issued")
            return await self._principal(login, "certificate")

    async def _principal(self, login: Login, method: str) -> Principal | None:
        if login.source != self.source.name:
            return None
        status = login.status(time.time())
        if status != "valid":
            raise AuthenticationFailed(
                f"{self.source.name}: the sign-in {login.id} is {status} {login.why}".rstrip(),
                tell=OVER,
            )
        now = await self.standing.judged(login.id)
        if now is None:
            raise AuthenticationFailed(
                f"{self.source.name}: the provider ended the sign-in {login.id}",
                tell=OVER,
            )
        return as_principal(now, method)

    # -- certified ---------------------------------------------------------------------------------------

    async def certify(self, login: Login, line: str) -> tuple[str, float]:
        """Sign an SSH public key for a sign-in; gives the certificate's line and its end.

        Raises:
            NotCertifiable: the line is no public key that is certified here.
            LoginsFailed, ConfigurationError: it cannot be signed or written down.
        """
        key = certifiable(line)
        now = time.time()
        end = float(int(min(now + self.source.settings.certificate_ttl, login.expires)))
        serial = usercertificates.new_serial()
        await self.logins.certify(IssuedCertificate(serial, login.id, _fingerprint(key), now, end))
        proven = usercertificates.Proven(login.name, serial, end, f"{SIGN_IN}{login.id} {serial}")
        signed = usercertificates.sign(self.keys.ssh_user_ca, key, proven, now)
        return signed.decode("ascii").strip(), end

    # -- ended -------------------------------------------------------------------------------------------

    async def end(self, login: Login, why: str) -> None:
        """End a sign-in here, and then at the provider as far as it can be told. Raises `LoginsFailed`."""
        await self.logins.revoke([login.id], time.time(), why)
        if login.refresh is None:
            return
        try:
            refresh = await trio.to_thread.run_sync(
                self._refresh_tokens.opened, login.refresh, login.id, login.issuer
            )
            await self.grants.revoke(refresh)
        except RecgateError:
            return  # it is over here, which is what counts; there it ends by itself


@contextmanager
def refusing(source: str) -> Generator[None]:
    """Turn what a sign-in can fail by into `AuthenticationFailed`, with what its client may hear; not `NotYet`."""
    try:
        yield
    except NotYet:
        raise
    except TokenRefused as exc:
        raise AuthenticationFailed(f"{source}: the sign-in is refused: {exc}", tell=exc.tell) from exc
    except ProviderFailed as exc:
        raise AuthenticationFailed(f"{source}: {exc}", tell=AWAY) from exc
    except (LoginsFailed, ConfigurationError) as exc:
        raise AuthenticationFailed(f"{source}: {exc}") from exc


def _end(granted: Granted, now: float, longest: float) -> float:
    """Say when a sign-in ends: without a refresh token with the access token, of which nothing later is known."""
    issued = granted.issued
    if issued.refresh is not None:
        return now + longest
    life = issued.life
    if life is None:
        life = (moment(granted.claims, "exp") or now) - now
    return now + min(longest, life)


def certifiable(line: str) -> Certifiable:
    """Read the line of an SSH public key that can be certified. Raises `NotCertifiable`."""
    try:
        key = serialization.load_ssh_public_key(line.strip().encode("ascii"))
    except (ValueError, UnicodeError, UnsupportedAlgorithm):
        raise NotCertifiable("this is no SSH public key that can be certified: use ssh-ed25519") from None
    if isinstance(key, rsa.RSAPublicKey) and not RSA_BITS[0] <= key.key_size <= RSA_BITS[1]:
        raise NotCertifiable(f"an RSA key needs {RSA_BITS[0]} to {RSA_BITS[1]} bits; better use ssh-ed25519")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise NotCertifiable("keys of this kind are not certified here: use ssh-ed25519")
    return key


def _fingerprint(key: Certifiable) -> str:
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def as_principal(login: Login, method: str) -> Principal:
    """Give the principal of a sign-in that stands."""
    return Principal(
        issuer=login.issuer,
        subject=login.subject,
        name=login.name,
        groups=login.groups,
        method=method,
        credential_id=f"{CREDENTIAL}{login.id}",
        expires=login.expires,
        source=login.source,
        acr=login.acr,
        amr=login.amr,
        auth_time=login.auth_time,
    )
