"""A refusal says enough to act on, and nothing that is the gateway's own."""

from __future__ import annotations

import pytest

from recgate import errors
from recgate.telling import code_of, for_client

INSIDE = "token hv.9 at /var/lib/recgate/vaults: run `recgate secret set prod-db`"


class Sealed(errors.VaultFailed):
    """A kind of a plugin's own."""


@pytest.mark.parametrize(
    "kind", [errors.AuthenticationFailed, errors.RecordingFailed, errors.VaultFailed, Sealed]
)
def test_what_is_inside_stays_inside(kind: type[errors.RecgateError]) -> None:
    said = for_client(kind(INSIDE))
    assert said
    assert not set(INSIDE.split()) & set(said.split()) - {"at", "run"}


@pytest.mark.parametrize(
    ("exc", "code"),
    [
        (errors.AccessDenied("not yours"), "access"),
        (errors.UpstreamFailed("prod: no answer"), "upstream"),
        (errors.RemoteProtocolError("expected HELLO"), "protocol"),
    ],
)
def test_what_the_client_can_act_on_is_said(exc: errors.RecgateError, code: str) -> None:
    assert for_client(exc) == str(exc)
    assert code_of(exc) == code


def test_every_failure_that_ends_a_session_has_a_code_of_its_own() -> None:
    kinds = [errors.AccessDenied, errors.AuthenticationFailed, errors.RecordingFailed, errors.UpstreamFailed]
    codes = [code_of(kind("x")) for kind in [*kinds, errors.VaultFailed, errors.RemoteProtocolError]]
    assert len(set(codes)) == len(codes)
    assert code_of(errors.ConfigurationError("x")) == "error"
    assert code_of(Sealed("x")) == "vault"


def test_a_denial_may_carry_its_protocols_own_code() -> None:
    assert code_of(errors.AccessDenied("no such database", code="3D000")) == "3D000"
