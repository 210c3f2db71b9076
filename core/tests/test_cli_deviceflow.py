"""The code that is shown, the questions and how often they are asked. The gateway here is a stub (logingateway.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from core.tests.logingateway import CORP, TOKEN, StubGateway, stub_gateway
from recgate.cli import deviceflow
from recgate.cli.deviceflow import by_device, read_code
from recgate.cli.remote import Denied, RemoteGateway, Unreachable
from recgate.cli.signinsource import Wish, chosen
from recgate.errors import RecgateError

SOURCE = chosen([CORP], "")
PAGE = "https://idp.example/device"


def said(**more: object) -> dict[str, object]:
    code = {"handle": "h1", "user_code": "ABCD-EFGH", "verification_uri": PAGE, "interval": 1}
    return {
        **code,
        "verification_uri_complete": f"{PAGE}?user_code=ABCD-EFGH",
        "expires": 60,
        **more,
    }


def offering(gateway: StubGateway, *then: tuple[int, dict[str, object]], **more: object) -> None:
    gateway.answers["/api/v1/oidc/device"] = [(200, said(**more))]
    gateway.answers["/api/v1/oidc/login"] = list(then)


async def test_the_code_is_shown_and_asked_for_until_it_is_approved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deviceflow, "INTERVAL", (0.01, 60.0))
    async with stub_gateway(tmp_path) as gateway:
        offering(gateway, (202, {"interval": 0.02}), (202, {}), (200, {"token": TOKEN}), interval=0.01)
        got = await by_device(gateway.known_by(tmp_path), SOURCE, Wish("mfa", fresh=True), "ssh-ed25519 A")

    assert got["token"] == TOKEN
    asked = {"source": "corp", "grant": "device", "handle": "h1", "ssh_public_key": "ssh-ed25519 A"}
    assert gateway.asked == [
        ("/api/v1/oidc/device", {"source": "corp", "acr": "mfa", "fresh": True}, ""),
        *[("/api/v1/oidc/login", asked, "")] * 3,
    ]
    shown = capsys.readouterr().err
    assert f"{PAGE}?user_code=ABCD-EFGH" in shown
    assert f"go to {PAGE} and enter\n\n  ABCD-EFGH\n" in shown
    assert "only if the page shows this code" in shown


async def test_a_no_is_a_no(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        offering(gateway, (403, {"detail": "the person said no at the provider"}))
        with pytest.raises(Denied, match="said no"):
            await by_device(gateway.known_by(tmp_path), SOURCE, Wish(), "")
    assert gateway.asked[-1][1] == {"source": "corp", "grant": "device", "handle": "h1"}


class Pending(RemoteGateway):
    """Answers without a network, so that time may jump; notes when it was asked."""

    def __init__(self, answers: list[object]) -> None:
        self.answers = answers
        self.times: list[float] = []

    async def ask(self, path, body=None, *, token=None):  # type: ignore[no-untyped-def]
        if path == deviceflow.PATH:
            return 200, said(expires=None, interval=5)
        self.times.append(trio.current_time())
        now = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(now, Exception):
            raise now
        return now


async def test_the_wished_interval_is_kept_and_a_gateway_that_is_away_is_asked_less_often(
    autojump_clock: trio.testing.MockClock,
) -> None:
    away = Unreachable("away")
    gateway = Pending(
        [(202, {"interval": 10}), (202, {}), away, away, (202, {"interval": 5}), (200, {"token": "t"})]
    )
    assert await by_device(gateway, SOURCE, Wish(), "") == {"token": "t"}
    assert gateway.times == pytest.approx([5, 15, 25, 45, 85, 90])


async def test_it_ends_when_the_code_does(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.raises(RecgateError, match="nobody entered the code in time"):
        await by_device(Pending([(202, {})]), SOURCE, Wish(), "")
    assert trio.current_time() == pytest.approx(deviceflow.MAX_LIFE)


@pytest.mark.parametrize("interval", [0, -5, 1e300, float("nan"), float("inf"), "5", None, True])
def test_no_interval_makes_it_hammer_or_sleep(interval: object) -> None:
    assert 1 <= read_code(said(interval=interval)).interval <= 60


@pytest.mark.parametrize(
    "wrong",
    [
        {"handle": ""},
        {"handle": None},
        {"user_code": "x" * 65},
        {"user_code": None},
        {"verification_uri": "http://idp.example"},
        {"verification_uri": None},
    ],
)
def test_what_is_no_code_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecgateError, match="Ask its administrator"):
        read_code(said(**wrong))


@pytest.mark.parametrize("expires", ["soon", None, -1, 0, float("nan"), float("inf"), 1e300])
def test_an_odd_end_or_address_is_no_hindrance(expires: object) -> None:
    code = read_code(said(expires=expires, verification_uri_complete="file:///x"))
    assert (code.life, code.whole_uri) == (deviceflow.MAX_LIFE, "")


def test_the_code_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    deviceflow._show(read_code(said(user_code="A\x1b[2J", verification_uri_complete=None)))
    assert "\x1b" not in capsys.readouterr().err
