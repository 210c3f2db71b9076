"""Tokens as the test provider issues them, and the gateway's side that reads them."""

import time

from recgate.model import ConnectionInfo, LoginName, PasswordEvidence, Secret
from recgate_oidc.authenticator import OidcAuthenticator
from recgate_oidc.settings import OidcSettings
from recgate_oidc.source import Source
from tests.peers.oidcprovider import AUDIENCE, SECRET, encoded

__all__ = [
    "authenticator",
    "access_claims",
    "at_the_door",
    "opaque_settings",
    "secret_file",
    "settings_for",
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
