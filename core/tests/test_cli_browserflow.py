"""PKCE, state, nonce and issuer of a sign-in in a browser; what a provider may answer and what comes of it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import trio

from core.tests.logingateway import CORP
from recgate.cli import browserflow
from recgate.cli.browserflow import Attempt, by_browser
from recgate.cli.remote import Denied
from recgate.cli.signinsource import SignInSource, Wish, chosen
from recgate.errors import RecgateError

SOURCE = chosen([CORP], "")
BACK = "http://127.0.0.1:1/callback"


PLAIN = Wish()


def asked(wish: Wish = PLAIN, source: SignInSource = SOURCE) -> tuple[Attempt, dict[str, list[str]]]:
    attempt = Attempt()
    return attempt, parse_qs(urlsplit(attempt.address(source, BACK, wish)).query)


def test_the_page_is_asked_for_a_code_that_is_of_use_to_this_process_alone() -> None:
    attempt, query = asked()
    challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).decode()
    assert query == {
        "tenant": ["7"],
        "response_type": ["code"],
        "client_id": ["recgate"],
        "redirect_uri": [BACK],
        "scope": ["openid groups"],
        "state": [attempt.state],
        "nonce": [attempt.nonce],
        "code_challenge": [challenge.rstrip("=")],
        "code_challenge_method": ["S256"],
    }
    assert len({attempt.state, attempt.nonce, attempt.verifier}) == 3
    assert min(map(len, (attempt.state, attempt.nonce, attempt.verifier))) == 43
    assert attempt.verifier not in repr(attempt)


def test_two_attempts_have_nothing_in_common() -> None:
    one, other = Attempt(), Attempt()
    assert not {one.state, one.nonce, one.verifier} & {other.state, other.nonce, other.verifier}


def test_a_level_and_a_fresh_sign_in_are_asked_for() -> None:
    _, query = asked(Wish(acr="mfa", fresh=True))
    assert (query["acr_values"], query["prompt"], query["max_age"]) == (["mfa"], ["login"], ["0"])


@pytest.mark.parametrize(
    ("parameters", "fresh", "prompt"),
    [
        ({}, False, ["consent"]),
        ({}, True, ["consent login"]),
        ({"prompt": ""}, False, None),
        ({"prompt": "select_account"}, True, ["select_account login"]),
        ({"prompt": "login"}, True, ["login"]),
    ],
)
def test_a_refresh_token_needs_consent_unless_the_source_says_otherwise(
    parameters: dict[str, str], fresh: bool, prompt: list[str] | None
) -> None:
    """OpenID Connect Core §11."""
    source = replace(SOURCE, scopes=("openid", "offline_access"), parameters=parameters)
    _, query = asked(Wish(fresh=fresh), source)
    assert query.get("prompt") == prompt


def test_what_the_gateway_adds_cannot_take_away_the_protection() -> None:
    hostile = {
        "access_type": "offline",
        "state": "x",
        "code_challenge_method": "plain",
        "redirect_uri": "https://x",
    }
    source = replace(SOURCE, parameters=hostile)
    attempt, query = asked(source=source)
    assert query["access_type"] == ["offline"]
    assert query["state"] == [attempt.state]
    assert (query["code_challenge_method"], query["redirect_uri"]) == (["S256"], [BACK])


@pytest.mark.parametrize("answer", [{"code": "c"}, {"code": "c", "iss": "https://idp.example"}])
def test_a_code_is_taken_from_its_issuer(answer: dict[str, str]) -> None:
    assert Attempt().code_in(answer, SOURCE) == "c"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"code": "c", "iss": "https://other.example"}, False),
        ({"code": "c", "iss": "https://idp.example/"}, False),
        ({"code": "c", "iss": ""}, False),
        ({"code": "c"}, True),
        ({"error": "access_denied", "iss": "https://other.example"}, False),
    ],
)
def test_an_answer_of_another_issuer_is_not_used(answer: dict[str, str], says: bool) -> None:
    """Mix-up, RFC 9207 §2.4."""
    with pytest.raises(RecgateError, match=r"and not https://idp\.example: it is not used"):
        Attempt().code_in(answer, replace(SOURCE, says_issuer=says))


def test_a_no_of_the_person_is_a_no_and_anything_else_a_failure() -> None:
    with pytest.raises(Denied, match="refused at corp"):
        Attempt().code_in({"error": "access_denied", "error_description": "no"}, SOURCE)
    with pytest.raises(RecgateError, match="does not sign you in: invalid_scope") as caught:
        Attempt().code_in({"error": "invalid_scope", "error_description": "\x1b[2J" + "x" * 900}, SOURCE)
    assert not isinstance(caught.value, Denied)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400
    with pytest.raises(RecgateError, match="sent no code"):
        Attempt().code_in({}, SOURCE)


async def test_the_browser_comes_back_and_the_gateway_gets_what_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []

    def browser(address: str) -> bool:
        """A provider that sends its person back at once."""
        opened.append(address)
        query = parse_qs(urlsplit(address).query)
        answer = {"code": "c", "state": query["state"][0], "iss": "https://idp.example"}
        assert httpx2.get(query["redirect_uri"][0], params=answer).status_code == 200
        return True

    monkeypatch.setattr("webbrowser.open", browser)
    grant = await by_browser(SOURCE, Wish(), display=True)

    query = parse_qs(urlsplit(opened[0]).query)
    assert grant["grant"] == "code"
    assert (grant["code"], grant["nonce"], grant["redirect_uri"]) == (
        "c",
        query["nonce"][0],
        query["redirect_uri"][0],
    )
    hashed = hashlib.sha256(str(grant["code_verifier"]).encode()).digest()
    assert base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == query["code_challenge"][0]


async def test_nobody_comes_back(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    autojump_clock: trio.testing.MockClock,
) -> None:
    def never(address: str) -> bool:
        raise AssertionError("there is no display")

    monkeypatch.setattr("webbrowser.open", never)
    with pytest.raises(RecgateError, match=r"within 5 minutes.*--device"):
        await by_browser(SOURCE, Wish(), display=False)
    assert trio.current_time() == pytest.approx(browserflow.PATIENCE, abs=1)
    assert "https://idp.example/auth?tenant=7" in capsys.readouterr().err
