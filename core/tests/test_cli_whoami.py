"""What `recgate whoami` says. The gateway is a stub (logingateway.py); tests/test_connecting.py asks a real one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from core.tests.logingateway import command, signed_in, stub_gateway
from recgate.cli import deviceflow


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deviceflow, "INTERVAL", (0.01, 60.0))


async def test_it_says_who_until_when_and_what_ends_it(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        await signed_in(gateway, tmp_path)
        said = {
            "user": "alice",
            "gateway": "gate-1",
            "issuer": "https://idp.example",
            "source": "corp",
            "groups": ["dba", "sre"],
            "method": "login",
            "expires": time.time() + 3_601,
            "acr": "mfa",
            "amr": ["otp"],
            "auth_time": time.time(),
            "endings": [{"what": "first\x1b[2J", "within": 10}, {"what": "second", "within": 40.5}],
        }
        gateway.answers["/api/v1/whoami"] = [(200, said)]
        done = await command(tmp_path, "whoami")
        as_json = await command(tmp_path, "whoami", "--json")
    assert done.exit_code == 0, done.output
    for line in (
        "user       alice",
        "groups     dba, sre",
        "(in 1 h 0 min)",
        "level      mfa otp",
        "           second: within 40 s",
    ):
        assert line in done.stdout
    assert "ssh        certificate until" in done.stdout
    assert "\x1b" not in done.stdout
    row = json.loads(as_json.stdout)
    assert (row["user"], row["url"], row["endings"]) == ("alice", gateway.url, said["endings"])
    assert row["ssh_certificate_expires"] > time.time()


@pytest.mark.parametrize(
    ("endings", "words"), [([], "never: nobody tells the gateway"), (None, "its source does not say when")]
)
async def test_a_source_that_learns_nothing_or_does_not_say_is_told(
    tmp_path: Path, endings: object, words: str
) -> None:
    async with stub_gateway(tmp_path) as gateway:
        await signed_in(gateway, tmp_path)
        gateway.answers["/api/v1/whoami"] = [(200, {"user": "alice", "endings": endings})]
        assert words in (await command(tmp_path, "whoami")).stdout


async def test_without_a_sign_in_it_says_how(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        done = await command(tmp_path, "whoami", "--url", gateway.url)
    assert done.exit_code == 2
    assert f"run `recgate login {gateway.url}`" in done.output
