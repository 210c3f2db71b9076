"""How a target's options become a TLS context: verified by default, and never silently plain."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import pytest

from recgate.errors import LocalProtocolError
from recgate.model import Credential
from recgate.upstreamtls import upstream_context


def session(**options: object) -> Any:
    target = SimpleNamespace(options=SimpleNamespace(ca=None, **options))
    return SimpleNamespace(target=target, credential=Credential())


@pytest.mark.parametrize(
    ("mode", "verify", "hostname"),
    [
        ("verify-full", ssl.CERT_REQUIRED, True),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("require", ssl.CERT_NONE, False),
    ],
)
def test_the_mode_says_how_far_the_target_is_verified(mode, verify, hostname) -> None:
    context = upstream_context(session(tls=mode))
    assert (context.verify_mode, context.check_hostname) == (verify, hostname)


def test_a_target_without_tls_gets_none_by_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        upstream_context(session(tls="disable"))
