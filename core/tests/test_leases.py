"""No lease is lost: on disk before use, given back after a crash, asked for again while its vault is away."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest

from core.tests.test_gateway import House, house, rest, until
from recgate.errors import VaultFailed
from recgate.providers import Lease
from recgate.testing.people import FakeVault

SESSION = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recgate.leases.FIRST_PAUSE", 0.05)


def left_behind(tmp_path: Path, **changes: object) -> Path:
    """What a killed gateway leaves in its data directory."""
    directory = tmp_path / "data" / "leases"
    directory.mkdir(parents=True, mode=0o700)
    note = {"session": SESSION, "vault": "test", "lease": "lease-7", "until": time.time() + 600, **changes}
    file = directory / f"{SESSION}.json"
    file.write_text(json.dumps(note))
    return file


def notes(home: House) -> list[Path]:
    return sorted((home.gateway.config.data_dir / "leases").glob("*"))


async def test_a_lease_is_on_disk_while_it_is_out_and_no_longer(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.vault.ttl = 600.0
        stream = await home.opened()
        (session,) = home.gateway.live
        (file,) = notes(home)
        assert file.name == f"{session}.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert "target-secret" not in file.read_text()
        assert json.loads(file.read_text())["lease"] == "lease-1"
        await stream.aclose()
        await home.eventually(lambda: not notes(home))
        assert home.vault.revoked == ["lease-1"]


async def test_a_lease_that_ends_with_nothing_at_the_vault_costs_no_file(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.opened()
        assert not (home.gateway.config.data_dir / "leases").exists()


async def test_threat_21_what_a_crash_left_behind_is_given_back_at_the_next_start(tmp_path: Path) -> None:
    file = left_behind(tmp_path)
    async with house(tmp_path) as home:
        await home.event("lease.found")
        assert (await home.event("lease.revoked"))["lease"] == "lease-7"
        assert home.vault.revoked == ["lease-7"]
        await home.eventually(lambda: not file.exists())


async def test_a_vault_that_is_away_is_asked_again(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.vault.ttl = 600.0
        stream = await home.opened()
        home.vault.away = True
        await stream.aclose()
        assert (await home.event("lease.unrevoked"))["reason"] == "test: away"
        assert notes(home)
        home.vault.away = False
        await home.event("lease.revoked")
        assert home.vault.revoked == ["lease-1"]
        await home.eventually(lambda: not notes(home))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"until": 1.0, "vault": "gone"}, "no vault is called gone any more"),
        ({"until": time.time() - 1}, "test: away"),
    ],
)
async def test_a_lease_that_has_ended_by_itself_is_said_and_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], reason: str
) -> None:
    async def away(self: FakeVault, lease: Lease) -> None:
        raise VaultFailed("test: away")

    monkeypatch.setattr(FakeVault, "revoke", away)
    file = left_behind(tmp_path, **changes)
    async with house(tmp_path) as home:
        assert (await home.event("lease.expired"))["reason"] == reason
        await home.eventually(lambda: not file.exists())


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"session": "other"}', json.dumps({"session": SESSION, "vault": 1})]
)
async def test_a_note_that_cannot_be_read_is_said_and_kept(tmp_path: Path, text: str) -> None:
    file = left_behind(tmp_path)
    file.write_text(text)
    async with house(tmp_path) as home:
        assert (await home.event("lease.unreadable"))["file"] == file.name
        await home.opened()
        assert file.exists()


async def test_a_lease_that_cannot_be_written_down_is_not_used(tmp_path: Path) -> None:
    """Threat 20."""
    async with house(tmp_path) as home:
        (home.gateway.config.data_dir / "leases").write_text("in the way")
        home.vault.ttl = 600.0
        assert b"BYE vault" in await rest(await home.login())
        await home.eventually(lambda: home.vault.revoked == ["lease-1"])


async def test_sessions_go_on_while_a_lease_cannot_be_given_back(tmp_path: Path) -> None:
    """Law 7."""
    left_behind(tmp_path, vault="gone")
    async with house(tmp_path) as home:
        await home.event("lease.unrevoked")
        stream = await home.opened()
        await stream.send_all(b"ASK on\n")
        assert await until(stream, b"on\n") == b"ANSWER to ASK on\n"
