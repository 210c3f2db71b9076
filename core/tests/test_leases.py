"""No lease is lost: on disk before use, given back after a crash, asked for again while its vault is away."""

from __future__ import annotations

import json
import shutil
import stat
import time
from pathlib import Path

import pytest
import trio

from core.tests.test_gateway import House, house, rest, until
from recgate.errors import VaultFailed
from recgate.leases import LeaseBook
from recgate.model import Principal, TargetInfo
from recgate.providers import Lease
from recgate.testing.people import FakeVault

ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod", "line", "localhost", 1, None)
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
        assert notes(home) == []


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
        assert home.vault.lent == []


async def test_a_disk_that_fails_while_the_vault_lends_costs_the_session_and_no_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat 20."""
    async with house(tmp_path) as home:
        home.vault.ttl = 600.0
        directory = home.gateway.config.data_dir / "leases"
        genuine = FakeVault.lease

        async def lease(self: FakeVault, *arguments: object) -> Lease:
            shutil.rmtree(directory)
            directory.write_text("in the way")
            return await genuine(self, *arguments)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(FakeVault, "lease", lease)
        home.vault.away = True
        assert b"BYE vault" in await rest(await home.login())
        await home.event("lease.unrevoked")
        home.vault.away = False
        await home.eventually(lambda: home.vault.revoked == ["lease-1"])


async def test_what_outlives_the_session_is_written_down_though_it_needs_no_renewal(tmp_path: Path) -> None:
    """A certificate or a one-time password: it is shown once, and stays good at the vault."""
    async with house(tmp_path) as home:
        home.vault.lasts = 300.0
        stream = await home.opened()
        (file,) = notes(home)
        assert json.loads(file.read_text())["until"] == pytest.approx(time.time() + 300, abs=20)
        home.vault.away = True
        await stream.aclose()
        await home.event("lease.unrevoked")
        home.vault.away = False
        await home.event("lease.revoked")
        assert home.vault.renewals == 0


async def test_it_is_tried_for_as_long_as_the_lease_lasts_and_not_for_as_long_as_its_next_renewal(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as home:
        home.vault.ttl, home.vault.lasts = 60.0, 3_600.0
        await home.opened()
        (file,) = notes(home)
        assert json.loads(file.read_text())["until"] == pytest.approx(time.time() + 3_600, abs=20)


async def test_a_lease_that_never_ends_is_tried_as_well(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        stream = await home.opened()
        home.vault.away = True
        await stream.aclose()
        await home.event("lease.unrevoked")
        assert len(notes(home)) == 1
        home.vault.away = False
        await home.event("lease.revoked")
        await home.eventually(lambda: not notes(home))


async def test_a_vault_that_a_reload_took_out_still_takes_back_what_it_lent(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.vault.ttl = 600.0
        stream = await home.opened()
        home.vault.away = True
        home.gateway.registry.vaults.clear()
        await stream.aclose()
        await home.event("lease.unrevoked")
        home.vault.away = False
        await home.event("lease.revoked")
        assert home.vault.revoked == ["lease-1"]


async def test_that_a_vault_was_asked_is_on_disk_until_its_answer_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as home:
        seen: list[dict[str, object]] = []
        genuine = FakeVault.lease

        async def lease(self: FakeVault, *arguments: object) -> Lease:
            seen.extend(json.loads(path.read_text()) for path in notes(home))
            return await genuine(self, *arguments)  # pyright: ignore[reportArgumentType]

        monkeypatch.setattr(FakeVault, "lease", lease)
        home.vault.ttl = 600.0
        await home.opened()
        ((mark),) = seen
        assert (mark["vault"], mark["lease"]) == ("test", "")
        (file,) = notes(home)
        assert file.suffix == ".json"
        assert json.loads(file.read_text())["session"] == mark["session"]


async def test_threat_21_a_gateway_killed_while_a_vault_was_asked_says_so_once(tmp_path: Path) -> None:
    file = left_behind(tmp_path, lease="").rename(tmp_path / "data" / "leases" / f"{SESSION}.asked")
    async with house(tmp_path) as home:
        event = await home.event("lease.unknown")
        assert (event["session"], event["vault"]) == (SESSION, "test")
        assert "killed while the vault was asked" in str(event["reason"])
        assert home.vault.revoked == []
        assert not file.exists()


@pytest.mark.parametrize("older", [True, False])
async def test_threat_21_a_note_that_was_written_and_not_yet_put_in_place_counts(
    tmp_path: Path, older: bool
) -> None:
    """Killed between the two: at the first note of a lease, and at one after a renewal."""
    file = left_behind(tmp_path)
    newer = file.with_suffix(".asked")
    newer.write_text(file.read_text())
    if not older:
        file.unlink()
    async with house(tmp_path) as home:
        await home.event("lease.revoked")
        await home.eventually(lambda: not notes(home))
        assert home.vault.revoked == ["lease-7"]


@pytest.mark.parametrize("text", ["", '{"session": "', None])
async def test_threat_21_a_torn_mark_hides_no_note(tmp_path: Path, text: str | None) -> None:
    file = left_behind(tmp_path)
    torn = json.loads(file.read_text()) | {"lease": ""}
    file.with_suffix(".asked").write_text(json.dumps(torn) if text is None else text)
    async with house(tmp_path) as home:
        assert (await home.event("lease.revoked"))["lease"] == "lease-7"
        await home.eventually(lambda: not notes(home))


async def test_a_vault_that_answers_nobody_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(self: FakeVault, *arguments: object) -> Lease:
        await trio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(FakeVault, "lease", hang)
    async with house(tmp_path, limits={"vault_timeout": "200ms"}) as home:
        assert b"BYE vault" in await rest(await home.login())
        event = await home.event("lease.unknown")
        assert event["reason"] == "nobody waited for the vault's answer"
        assert notes(home) == []


async def test_a_vault_that_says_no_leaves_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(self: FakeVault, *arguments: object) -> Lease:
        raise VaultFailed("test: no")

    monkeypatch.setattr(FakeVault, "lease", refuse)
    async with house(tmp_path) as home:
        assert b"BYE vault" in await rest(await home.login())
        assert notes(home) == []
        assert not [event for event in home.audit() if event["event"] == "lease.unknown"]


async def test_what_cannot_be_given_back_when_the_gateway_stops_waits_for_its_next_start(
    tmp_path: Path,
) -> None:
    """The book closes before the last sessions do; that must not take their session's end along."""
    async with house(tmp_path) as home:
        home.vault.ttl = 600.0
        await home.opened()
        home.vault.away = True
        home.gateway.stop()
        await home.event("lease.unrevoked")
        assert not [event for event in home.audit() if event["event"] == "session.crashed"]
    assert len(notes(home)) == 1
    home.vault.away = False


async def test_a_book_that_is_closed_starts_nothing(tmp_path: Path) -> None:
    events: list[str] = []

    class Heard:
        def emit(self, event: str, /, **facts: object) -> None:
            events.append(event)

    vault = FakeVault(ttl=60.0)
    book = LeaseBook(tmp_path / "leases", lambda: {"test": vault}, Heard())
    async with trio.open_nursery() as nursery:
        await nursery.start(book.run)
        nursery.cancel_scope.cancel()
    vault.away = True
    lease = await vault.lease("path", ALICE, TARGET, SESSION)

    await book.give_back(SESSION, vault, lease)

    assert events == ["lease.unrevoked"]
    assert (tmp_path / "leases" / f"{SESSION}.json").exists()


async def test_sessions_go_on_while_a_lease_cannot_be_given_back(tmp_path: Path) -> None:
    """Law 7."""
    left_behind(tmp_path, vault="gone")
    async with house(tmp_path) as home:
        await home.event("lease.unrevoked")
        stream = await home.opened()
        await stream.send_all(b"ASK on\n")
        assert await until(stream, b"on\n") == b"ANSWER to ASK on\n"
