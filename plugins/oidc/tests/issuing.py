"""Tokens as the test provider issues them, and the gateway's side that reads them."""

import time
from typing import Any

from trio.to_thread import run_sync

from recgate.keys import GatewayKeys
from recgate.model import ConnectionInfo, LoginName, PasswordEvidence, Secret
from recgate_oidc.authenticator import OidcAuthenticator
from recgate_oidc.kept import Kept
from recgate_oidc.settings import OidcSettings
from recgate_oidc.source import Source
from tests.peers.oidcprovider import AUDIENCE, SECRET, Browser, encoded

__all__ = [
    "authenticator",
    "access_claims",
    "at_the_door",
    "granted",
    "opaque_settings",
    "secret_file",
    "settings_for",
    "signed_in",
    "signins_for",
    "source_for",
    "with_signature_of",
]

NOBODY = LoginName("prod-db")
CONNECTION = ConnectionInfo("postgres", "127.0.0.1:15432", "198.51.100.7:50000", tls=True)


def settings_for(provider, **changed):
    return OidcSettings(
        **{
            "name": "corp",
            "issuer": provider.issuer,
            "client_id": "recgate",
            "audience": AUDIENCE,
            "ca": provider.ca,
            **changed,
        }
    )


def source_for(provider, foreign=(), **changed):
    return Source.of(settings_for(provider, **changed), foreign)


def authenticator(provider, **changed):
    return OidcAuthenticator(source_for(provider, **changed))


async def at_the_door(door, token):
    """What the authenticator says of a token typed as a password."""
    return await door.authenticate(NOBODY, PasswordEvidence(Secret(token)), CONNECTION)


def access_claims(provider, **changed):
    """The claims of a good access token; None takes one away."""
    now = int(time.time())
    claims = {
        "iss": provider.issuer,
        "aud": AUDIENCE,
        "sub": "alice",
        "client_id": "recgate",
        "iat": now,
        "exp": now + 300,
        "jti": "one",
        "groups": ["sre", "dba"],
        **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


def with_signature_of(sign, header, claims):
    """A compact JWS with any header and any signature: `sign` is given what is signed."""
    told = f"{encoded(header)}.{encoded(claims)}"
    return f"{told}.{encoded(sign(told.encode()))}"


def secret_file(directory):
    path = directory / "client.secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def opaque_settings(directory):
    """What a source needs to introspect."""
    return {"client_id": "gateway", "client_secret_file": secret_file(directory)}


def signins_for(provider, directory, **changed) -> Any:
    """The sign-ins of a source that asks for everything, with their books in a directory."""
    scopes = ("openid", "groups", "profile", "offline_access")
    settings = settings_for(provider, **{"scopes": scopes, "poll": 1e-9, **changed})
    (door,) = Kept.of(GatewayKeys(directory)).authenticators([(settings, ())])
    return door


async def granted(provider, door, user="alice", **answers) -> Any:
    """What the provider grants when somebody enters a code and says yes."""
    grants = door.signins.grants
    device = await grants.begin({})
    with Browser(provider, user, **answers) as browser:
        await run_sync(browser.approve, device.whole_uri)
    return await grants.by_device(device)


async def signed_in(provider, door, user="alice", **answers) -> tuple[Any, Any]:
    """A sign-in, and the principal that its token is taken for."""
    made = await door.signins.begin(await granted(provider, door, user, **answers))
    return made, await door.authenticate(NOBODY, PasswordEvidence(made.token), CONNECTION)
