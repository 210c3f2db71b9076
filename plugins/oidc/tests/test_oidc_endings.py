"""What `recgate whoami` says of revocation is what the source does; tests/test_login.py sees some of it happen."""

from pathlib import Path

import pytest

from plugins.oidc.tests.issuing import (
    access_claims,
    at_the_door,
    authenticator,
    signed_in,
    signins_for,
)
from recgate.model import Principal
from recgate.providers import Foreseeing
from recgate_oidc.endings import ACCOUNT, GRANT, GROUP, HERE, of_token
from recgate_oidc.settings import OidcSettings

CLIENT = {"client_id": "gateway", "client_secret_file": Path("/run/client.secret")}
INTROSPECTION = "the provider takes the token back (introspection)"


def words(endings):
    return [each.what for each in endings]


async def test_a_bare_token_has_its_expiry_and_nothing_else(provider):
    door = authenticator(provider)
    alice = await at_the_door(door, provider.signed(access_claims(provider)))

    assert isinstance(door, Foreseeing)
    assert await door.endings(alice) == []


@pytest.mark.parametrize(
    ("more", "method", "expected"),
    [
        ({"groups_from": "userinfo"}, "jwt", [ACCOUNT, GROUP]),
        ({"groups_from": "distributed", "distributed": {}}, "jwt", [GROUP]),
        ({**CLIENT, "introspection": {"jwt": True}}, "jwt", [INTROSPECTION]),
        ({**CLIENT, "introspection": {}}, "jwt", []),
        ({**CLIENT, "introspection": {}}, "opaque", [INTROSPECTION, GROUP]),
        ({**CLIENT, "introspection": {"jwt": True}}, "machine", [INTROSPECTION]),
        ({"groups_from": "userinfo"}, "machine", []),
    ],
)
def test_what_is_asked_about_a_raw_token_is_what_is_said(more, method, expected):
    settings = OidcSettings(
        name="corp", issuer="https://idp.example", audience="https://gate.example", poll=7.0, **more
    )
    endings = of_token(settings, Principal("https://idp.example", "1", "alice", method=method))

    assert words(endings) == expected
    assert {each.within for each in endings} <= {7.0}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, [HERE, ACCOUNT, GROUP]),
        ({"poll_by": "refresh"}, [HERE, GRANT, ACCOUNT, GROUP]),
        ({"scopes": ("openid", "groups")}, [HERE, ACCOUNT, GROUP]),
    ],
)
async def test_a_sign_in_is_asked_after_as_is_said(provider, tmp_path, more, expected):
    door = signins_for(provider, tmp_path, **more)
    _, alice = await signed_in(provider, door)

    endings = await door.endings(alice)
    assert words(endings) == expected
    assert endings[0].within == 0


async def test_of_a_sign_in_that_is_over_nothing_is_said(provider, tmp_path):
    door = signins_for(provider, tmp_path)
    _, alice = await signed_in(provider, door)
    gone = Principal(alice.issuer, alice.subject, alice.name, credential_id="login:0")

    assert list(await door.endings(gone)) == []
