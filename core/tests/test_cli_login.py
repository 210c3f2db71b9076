"""What `recgate login` and `logout` keep, say and leave behind. The gateway is a stub (logingateway.py)."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import pytest

from core.tests.logingateway import (
    CORP,
    DEVICE,
    LOGIN,
    LOGOUT,
    TOKEN,
    command,
    home,
    offering,
    signed_in,
    stub_gateway,
)
from recgate.cli import deviceflow
from recgate.cli.home import StoredToken
from recgate.cli.login import has_display
from recgate.cli.sshidentity import RENEW, SshIdentity
from recgate.model import Secret


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deviceflow, "INTERVAL", (0.01, 60.0))


async def test_a_sign_in_is_kept_for_its_owner_and_says_what_to_do_next(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        end = offering(gateway)
        done = await command(tmp_path, "login", gateway.url, "--ca", str(gateway.keys.ca_file))
        assert done.exit_code == 0, done.output

    kept = home(tmp_path)
    known, token = kept.gateway(), kept.token(gateway.url)
    assert (known.url, known.ca, known.name) == (gateway.url, gateway.ca, "gate-1")
    assert token.token.reveal() == TOKEN.encode()
    assert (token.expires, token.user, token.source) == (end, "alice", "corp")
    identity = SshIdentity(kept.directory, gateway.known_by(tmp_path).slug)
    for file in (kept.directory / "tokens.json", identity.file, identity.certificate_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"signed in at {gateway.url} as alice by corp, until " in done.stdout
    assert "groups: dba, sre" in done.stdout
    assert f"ssh -i {identity.file} " in done.stdout
    for line in ("recgate targets", "recgate connect TARGET", "recgate ssh TARGET", "recgate whoami"):
        assert line in done.stdout
    assert TOKEN not in done.output


async def test_the_next_sign_in_needs_neither_address_nor_ca_nor_source(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        gateway.advertise(login=[{**CORP, "source": "other"}, CORP])
        offering(gateway)
        words = ["--ca", str(gateway.keys.ca_file)]
        unclear = await command(tmp_path, "login", gateway.url, *words)
        assert (unclear.exit_code, "--source with one of corp, other" in unclear.output) == (2, True)
        assert (await command(tmp_path, "login", gateway.url, *words, "--source", "corp")).exit_code == 0
        again = await command(tmp_path, "login", "--acr", "mfa", "--no-ssh")
        assert again.exit_code == 0, again.output
    asked = [body for path, body, _ in gateway.asked if path in (DEVICE, LOGIN)]
    assert asked[-2:] == [
        {"source": "corp", "acr": "mfa"},
        {"source": "corp", "grant": "device", "handle": "h"},
    ]
    identity = SshIdentity(home(tmp_path).directory, gateway.known_by(tmp_path).slug)
    assert identity.expires() is None  # the certificate stood for the sign-in before


async def test_the_ssh_line_of_a_target_offers_a_certificate_that_stands(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        identity = await signed_in(gateway, tmp_path)
        web = {"name": "web", "protocol": "ssh", "line": "ssh -p 2222 web@gate"}
        gateway.answers["/api/v1/targets"] = [(200, {"targets": [web]})]
        certified = f"ssh        ssh -i {identity.file} -o IdentitiesOnly=yes -p 2222 web@gate"
        identity.keep(gateway.signed(identity.public_key(), time.time() + 3_600))
        assert certified in (await command(tmp_path, "targets")).stdout
        assert gateway.asked[-1][0] == "/api/v1/targets"

        over = gateway.signed(identity.public_key(), time.time() - 1)
        identity.keep(over)
        assert "ssh        ssh -p 2222 web@gate" in (await command(tmp_path, "targets")).stdout
        assert gateway.asked[-1] == (RENEW, {"ssh_public_key": identity.public_key()}, TOKEN)

        renewed = gateway.signed(identity.public_key(), time.time() + 3_600)
        gateway.answers[RENEW] = [(200, {"ssh_certificate": renewed})]
        assert certified in (await command(tmp_path, "targets")).stdout
        assert identity.certificate_file.read_text() == renewed

        identity.drop()
        assert "ssh        ssh -p 2222 web@gate" in (await command(tmp_path, "targets")).stdout
        assert not identity.file.exists()


@pytest.mark.parametrize(
    ("status", "more", "code", "words"),
    [
        (403, {"detail": "the person said no"}, 1, "the person said no"),
        (400, {"detail": "the provider does not take it"}, 2, "does not take it"),
        (401, {"detail": "not for this gateway"}, 2, "not for this gateway"),
        (200, {"token": "two words"}, 2, "sent no token"),
        (200, {"token": None}, 2, "sent no token"),
        (200, {"token": "x\ny" * 20}, 2, "sent no token"),
    ],
)
async def test_a_sign_in_that_came_to_nothing_leaves_everything_as_it_was(
    tmp_path: Path, status: int, more: dict[str, Any], code: int, words: str
) -> None:
    async with stub_gateway(tmp_path) as gateway:
        kept = home(tmp_path)
        kept.keep_token(gateway.url, StoredToken(Secret(b"rgl_before"), time.time() + 60, "alice"))
        offering(gateway, status, **more)
        done = await command(tmp_path, "login", gateway.url, "--ca", str(gateway.keys.ca_file))
    assert done.exit_code == code, done.output
    assert words in done.output
    assert "has ended or was revoked" not in done.output
    assert kept.token(gateway.url).token.reveal() == b"rgl_before"
    assert "Traceback" not in done.output


async def test_a_certificate_of_another_key_is_not_kept(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        offering(gateway, ssh_certificate=gateway.signed(SshIdentity(tmp_path / "x", "x").public_key(), 2e9))
        done = await command(tmp_path, "login", gateway.url, "--ca", str(gateway.keys.ca_file))
    assert (done.exit_code, "not for this key" in done.output) == (2, True)
    assert SshIdentity(home(tmp_path).directory, gateway.known_by(tmp_path).slug).expires() is None


async def test_a_flow_that_there_is_not_is_said(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        gateway.advertise(login=[{**CORP, "flows": ["device"]}])
        done = await command(tmp_path, "login", gateway.url, "--ca", str(gateway.keys.ca_file), "--browser")
        assert (done.exit_code, "cannot be signed in by with --browser" in done.output) == (2, True)
        offering(gateway)
        shown = await command(tmp_path, "login", gateway.url, "--ca", str(gateway.keys.ca_file), DISPLAY=":0")
        assert shown.exit_code == 0, shown.output


async def test_a_token_in_the_environment_is_mentioned(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        offering(gateway)
        words = ["login", gateway.url, "--ca", str(gateway.keys.ca_file)]
        done = await command(tmp_path, *words, RECGATE_TOKEN="rg_x")
    assert "RECGATE_TOKEN is set and stands before this sign-in" in done.stderr


async def test_ca_and_fingerprint_exclude_each_other(tmp_path: Path) -> None:
    done = await command(tmp_path, "login", "https://127.0.0.1:1", "--ca", __file__, "--fingerprint", "AB")
    assert done.exit_code == 2
    assert "give one of them" in done.output


@pytest.mark.parametrize(
    ("environment", "platform", "seen"),
    [
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "linux", False),
        ({"DISPLAY": "localhost:10", "SSH_CONNECTION": "a b"}, "linux", False),
        ({}, "darwin", True),
        ({"SSH_TTY": "/dev/pts/0"}, "darwin", False),
    ],
)
def test_a_browser_is_opened_where_the_person_sees_it(
    environment: dict[str, str], platform: str, seen: bool
) -> None:
    assert has_display(environment, platform) is seen


# -- logout ------------------------------------------------------------------------------------------------


async def test_a_sign_out_is_told_to_the_gateway_and_leaves_nothing_that_signs_in(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        identity = await signed_in(gateway, tmp_path)
        gateway.answers[LOGOUT] = [(204, {})]
        done = await command(tmp_path, "logout")
        assert done.exit_code == 0, done.output
        again = await command(tmp_path, "logout")
    assert gateway.asked[-1] == (LOGOUT, {}, TOKEN)
    assert not identity.file.exists()
    assert not identity.certificate_file.exists()
    assert TOKEN not in (home(tmp_path).directory / "tokens.json").read_text()
    assert home(tmp_path).gateway().ca == gateway.ca  # its CA is still believed
    assert (again.exit_code, "nobody is signed in" in again.output) == (2, True)


@pytest.mark.parametrize(("status", "code"), [(401, 0), (404, 2), (503, 2)])
async def test_whatever_the_gateway_says_nothing_signs_in_here_any_more(
    tmp_path: Path, status: int, code: int
) -> None:
    async with stub_gateway(tmp_path) as gateway:
        identity = await signed_in(gateway, tmp_path)
        gateway.answers[LOGOUT] = [(status, {"detail": "x"})]
        done = await command(tmp_path, "logout")
    assert done.exit_code == code, done.output
    assert ("the gateway could not be told" in done.output) is (code == 2)
    assert home(tmp_path).stored_token(gateway.url) is None
    assert not identity.file.exists()


async def test_a_gateway_that_is_away_cannot_be_told(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        await signed_in(gateway, tmp_path)
    done = await command(tmp_path, "logout")
    assert done.exit_code == 2
    assert "forgotten on this machine, but the gateway could not be told" in done.output
    assert home(tmp_path).stored_token(gateway.url) is None
