"""What a client keeps: whole, for its owner alone, and found again."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from recgate.cli.home import ClientHome, KnownGateway, StoredToken, gateway_url
from recgate.errors import RecgateError
from recgate.model import Secret

URL = "https://gate.example:8443"
PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


def home(tmp_path: Path, **environment: str) -> ClientHome:
    return ClientHome.of({"XDG_CONFIG_HOME": str(tmp_path), **environment})


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("gate.example", URL),
        ("https://gate.example/", URL),
        ("https://GATE.example:8443", URL),
        ("https://gate.example:443", "https://gate.example:443"),
        ("[::1]:9", "https://[::1]:9"),
    ],
)
def test_one_address_has_one_spelling(text: str, url: str) -> None:
    assert gateway_url(text) == url


@pytest.mark.parametrize(
    "text", ["http://gate.example", "https://", "https://a@b", "https://gate.example/x", "gate:port"]
)
def test_what_is_no_gateways_address_is_refused(text: str) -> None:
    with pytest.raises(RecgateError, match="Give https://HOST:8443"):
        gateway_url(text)


def test_a_gateway_is_found_again_by_address_and_as_the_last_one(tmp_path: Path) -> None:
    kept = home(tmp_path)
    assert not kept.knows_any()
    with pytest.raises(RecgateError, match="recgate login"):
        kept.gateway()
    first, second = KnownGateway(URL, PEM, "gate-1"), KnownGateway("https://other:1")
    kept.remember(first)
    kept.remember(second)
    assert home(tmp_path).gateway() == second
    assert home(tmp_path).gateway("gate.example") == first
    kept.forget(second.url)
    assert home(tmp_path).gateway() == first
    assert home(tmp_path).gateway("https://new:1") == KnownGateway("https://new:1")


def test_a_token_is_for_its_owner_alone(tmp_path: Path) -> None:
    kept = home(tmp_path)
    with pytest.raises(RecgateError, match=r"not signed in at https://gate.example:8443: run `recgate login"):
        kept.token(URL)
    kept.keep_token(URL, StoredToken(Secret("t0ken"), time.time() + 60, "alice", Secret("again")))
    path = tmp_path / "recgate" / "tokens.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = kept.token(URL)
    assert (found.token.reveal(), found.user, found.refresh) == (b"t0ken", "alice", Secret("again"))
    assert "t0ken" not in repr(found)
    path.chmod(0o640)
    with pytest.raises(RecgateError, match="others may read it"):
        kept.token(URL)
    path.chmod(0o600)
    kept.drop_token(URL)
    assert kept.stored_token(URL) is None


def test_an_expired_token_says_how_to_get_another(tmp_path: Path) -> None:
    kept = home(tmp_path)
    kept.keep_token(URL, StoredToken(Secret("t"), time.time() - 1))
    with pytest.raises(RecgateError, match=f"has ended: run `recgate login {URL}`"):
        kept.token(URL)
    assert kept.stored_token(URL) is not None


def test_the_environment_stands_first(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(PEM)
    kept = home(tmp_path, RECGATE_URL="gate.example", RECGATE_CA=str(ca), RECGATE_TOKEN="given")
    assert kept.knows_any()
    assert kept.gateway() == KnownGateway(URL, PEM)
    assert kept.token(URL).token == Secret("given")
    ca.write_text("nothing")
    with pytest.raises(RecgateError, match="holds no certificate"):
        kept.gateway()


def test_damage_is_named_and_not_quoted(tmp_path: Path) -> None:
    kept = home(tmp_path)
    kept.keep_token(URL, StoredToken(Secret("t")))
    (tmp_path / "recgate" / "tokens.json").write_text('{"s3cret')
    with pytest.raises(RecgateError, match="damaged") as seen:
        kept.token(URL)
    assert "s3cret" not in str(seen.value)
