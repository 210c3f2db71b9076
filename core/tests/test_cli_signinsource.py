"""Which ways to sign in a gateway offers, and which is taken."""

from __future__ import annotations

import pytest

from core.tests.logingateway import CORP
from recgate.cli.signinsource import chosen, is_web_address
from recgate.errors import RecgateError

PARTNER = {**CORP, "source": "partner"}


def test_the_only_one_is_taken() -> None:
    source = chosen([CORP], "")
    assert (source.name, source.client_id, source.scopes) == ("corp", "recgate", ("openid", "groups"))
    assert source.browser
    assert source.device


def test_of_several_it_is_the_one_that_is_said_or_was_taken_before() -> None:
    assert chosen([CORP, PARTNER], "partner").name == "partner"
    assert chosen([CORP, PARTNER], "", "partner").name == "partner"
    assert chosen([CORP, PARTNER], "corp", "partner").name == "corp"
    with pytest.raises(RecgateError, match="--source with one of corp, partner"):
        chosen([CORP, PARTNER], "", "gone")
    with pytest.raises(RecgateError, match=r"no source 'nobody'.*There is: corp, partner"):
        chosen([CORP, PARTNER], "nobody")


@pytest.mark.parametrize(
    "row", [{}, {**CORP, "kind": "saml"}, {**CORP, "source": "a\nb"}, {**CORP, "client_id": ""}]
)
def test_what_cannot_be_signed_in_by_is_not_there(row: dict[str, object]) -> None:
    with pytest.raises(RecgateError, match="RECGATE_TOKEN"):
        chosen([row], "")


@pytest.mark.parametrize(
    "endpoint",
    [
        None,
        "http://idp.example/auth",
        "file:///etc/passwd",
        "-new-window",
        "javascript:alert(1)",
        "https:///auth",
        "https://user@idp.example/auth",
        "https://idp.example/a b",
        "https://idp.example/\x1b[2J",
        "https://idp.example/" + "a" * 3_000,
        "https://[",
    ],
)
def test_a_browser_is_sent_to_https_alone(endpoint: object) -> None:
    assert not is_web_address(str(endpoint))
    source = chosen([{**CORP, "authorization_endpoint": endpoint}], "")
    assert not source.browser
    assert source.device
