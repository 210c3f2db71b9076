"""What is known of a target: read once for all of its sessions, given up when it changes, and bounded in every way."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from recgate import surveying
from recgate.config import CredentialName
from recgate.errors import RecgateError, UpstreamFailed
from recgate.leases import LeaseBook
from recgate.model import Credential, Principal, TargetInfo
from recgate.sansio.asks import NEED_DATA, PeerClosed, Surveyed
from recgate.sansio.frames import UPSTREAM
from recgate.surveying import AT_ONCE, DEADLINE, MAX_SURVEY, MAX_TRIES, PAUSE, UNKNOWN, KnownOfTarget, Surveys
from recgate.testing.lineproto import LineTarget
from recgate.testing.people import FakeVault

TARGET = TargetInfo("prod", "line", "127.0.0.1", 1, LineTarget(), {}, "")
FAILED = Surveyed(UNKNOWN)


class Reads:
    """Asks for a subject, and takes what comes up to the target's close for the finding."""

    def __init__(self, credential: Credential, subject: str) -> None:
        self.out = [f"{credential.username} reads {subject}\n".encode()]
        self.heard = b""
        self.eof = False

    def data_to_send(self, side: object) -> list[bytes]:
        out, self.out = self.out, []
        return out

    def next_event(self, side: object) -> object:
        return PeerClosed(UPSTREAM) if self.eof else NEED_DATA

    def receive_data(self, side: object, data: bytes) -> None:
        self.heard += data[:100]
        self.eof = self.eof or not data

    def finding(self) -> object:
        if self.heard == b"nonsense":
            raise RecgateError("nonsense was read")
        return self.heard.decode()


@dataclass
class House:
    """A gateway as far as surveys look, in front of a target that `answers`."""

    directory: Path
    nursery: trio.Nursery
    vault: FakeVault = field(default_factory=FakeVault)
    events: list[dict[str, object]] = field(default_factory=list[Any])
    asked: list[str] = field(default_factory=list[str])
    streams: list[trio.SocketStream] = field(default_factory=list[Any])
    dialled: int = 0
    columns: tuple[str, ...] = ("*.ssn",)
    catalog: CredentialName | None = None
    answers: Callable[[trio.SocketStream], Any] | None = None
    provider: object = field(
        default_factory=lambda: SimpleNamespace(
            surveyor=lambda info, credential, subject: Reads(credential, subject)
        )
    )

    def __post_init__(self) -> None:
        audit: Any = SimpleNamespace(
            emit=lambda event, **facts: self.events.append({"event": event, **facts})
        )
        self.gateway = SimpleNamespace(
            surveys=Surveys(),
            audit=audit,
            leases=LeaseBook(self.directory / "leases", lambda: {"test": self.vault}, audit),
            registry=SimpleNamespace(vaults={"test": self.vault}, protocols={"line": self.provider}),
            config=SimpleNamespace(limits=SimpleNamespace(catalog_age=60.0)),
        )

    def known(self, number: str = "1", target: TargetInfo = TARGET) -> KnownOfTarget | None:
        settings = SimpleNamespace(
            info=target, credential=CredentialName("test", "app"), catalog_credential=self.catalog, allow=()
        )
        door: Any = SimpleNamespace(gateway=self.gateway, settings=settings, dial_for=self.dial)
        session: Any = SimpleNamespace(
            id=number,
            principal=Principal("fake", "1", "alice"),
            target=target,
            masking=SimpleNamespace(columns=self.columns),
        )
        return KnownOfTarget.of(door, session)

    def one(self, number: str = "1", target: TargetInfo = TARGET) -> KnownOfTarget:
        found = self.known(number, target)
        assert found is not None
        return found

    async def dial(self, info: TargetInfo, session: object) -> socket.socket:
        self.dialled += 1
        far, near = socket.socketpair()
        far.setblocking(False)
        self.streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(far)))
        self.nursery.start_soon(self._target, self.streams[-1])
        await trio.lowlevel.checkpoint()
        return near

    async def _target(self, stream: trio.SocketStream) -> None:
        async with stream:
            self.asked.append(bytes(await stream.receive_some(100)).decode().rstrip())
            if self.answers is not None:
                try:
                    await self.answers(stream)
                except trio.BrokenResourceError:
                    return
            else:
                await stream.send_all(b"found %d" % self.dialled)

    def left(self) -> list[str]:
        return [path.name for path in (self.directory / "leases").glob("*")]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with trio.open_nursery() as nursery:
        made = House(tmp_path, nursery)
        yield made
        nursery.cancel_scope.cancel()
    for stream in made.streams:
        stream.socket.close()  # also where its task was never begun


async def test_what_one_session_has_read_serves_all_of_that_target(house: House) -> None:
    first, second = house.one("1"), house.one("2")
    assert first.current("app") is None
    assert await first.survey("app") == Surveyed()
    assert first.current("app") == second.current("app") == "found 1"
    assert await second.survey("app") == Surveyed()
    assert (house.dialled, house.asked) == (1, ["app reads app"])
    assert second.current("other") is None  # another database
    assert house.one("3", replace(TARGET, host="127.0.0.2")).current("app") is None  # moved since


async def test_its_lease_is_given_back_at_once(house: House) -> None:
    assert await house.one().survey("app") == Surveyed()
    assert house.vault.lent == ["1"]
    assert house.vault.revoked == ["lease-1"]
    assert house.left() == []


async def test_a_credential_of_its_own_goes_before_the_targets(house: House) -> None:
    house.catalog = CredentialName("test", "missing")
    assert await house.one().survey("app") == FAILED
    assert house.dialled == 0
    assert [each["event"] for each in house.events] == ["survey.failed"]
    assert house.events[0]["reason"] == "vault test: test: nothing is kept at missing"


async def test_only_what_something_looks_into_is_offered_one(house: House) -> None:
    house.columns = ()
    assert house.known() is None
    house.catalog = CredentialName("test", "app")
    assert house.known() is not None
    house.gateway.registry.protocols["line"] = SimpleNamespace(surveyor=None)
    assert house.known() is None


async def test_it_is_relied_on_for_a_while_only(house: House, mock_clock: trio.testing.MockClock) -> None:
    known = house.one()
    await known.survey("app")
    mock_clock.jump(59)
    assert known.current("app") == "found 1"
    mock_clock.jump(2)
    assert known.current("app") is None
    assert await known.survey("app") == Surveyed()
    assert known.current("app") == "found 2"


async def test_what_has_changed_is_read_again_also_for_the_others(house: House) -> None:
    first, second = house.one("1"), house.one("2")
    await first.survey("app")
    mark = second.mark("app")
    first.spoil("app")
    assert second.current("app") is None
    assert second.mark("app") != mark
    await second.survey("app")
    assert first.current("app") == "found 2"


async def test_a_change_is_one_for_every_target_that_leads_to_the_same_place(house: House) -> None:
    first, other = house.one("1"), house.one("2", replace(TARGET, name="admin"))
    elsewhere = house.one("3", replace(TARGET, name="test", port=2))
    for known in (first, other, elsewhere):
        await known.survey("app")
    assert house.dialled == 3  # each believes what its own rules let it read
    first.spoil("app")
    assert other.current("app") is None
    assert elsewhere.current("app") == "found 3"


async def test_what_changes_while_it_is_read_is_read_again_and_not_for_ever(house: House) -> None:
    known = house.one()
    spoils = 1

    async def changing(stream: trio.SocketStream) -> None:
        if house.dialled <= spoils:
            known.spoil("app")
        await stream.send_all(b"found %d" % house.dialled)

    house.answers = changing
    assert await known.survey("app") == Surveyed()
    assert known.current("app") == "found 2"
    spoils = 100
    known.spoil("app")
    assert await known.survey("app") == FAILED
    assert house.dialled == 2 + MAX_TRIES


async def test_a_target_that_hangs_is_given_up(house: House, mock_clock: trio.testing.MockClock) -> None:
    hanging = trio.Event()

    async def hangs(stream: trio.SocketStream) -> None:
        hanging.set()
        await trio.sleep_forever()

    house.answers = hangs
    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.one().survey, "app")
        await hanging.wait()
        mock_clock.jump(DEADLINE - 1)
        await trio.testing.wait_all_tasks_blocked()
        assert house.events == []
        mock_clock.jump(1)
    assert house.events[0]["reason"] == "not done within 30 s"
    assert house.vault.revoked == ["lease-1"]


async def test_a_target_that_answers_without_an_end_is_cut_off(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveying, "MAX_SURVEY", 1 << 20)
    sent = 0

    async def floods(stream: trio.SocketStream) -> None:
        nonlocal sent
        while True:
            await stream.send_all(bytes(1 << 16))
            sent += 1 << 16

    house.answers = floods
    assert await house.one().survey("app") == FAILED
    assert house.events[0]["reason"] == f"prod answers a survey with more than {1 << 20} bytes"
    assert sent < 3 << 20
    assert MAX_SURVEY == 64 << 20


async def test_answers_without_sense_are_no_finding(house: House) -> None:
    async def nonsense(stream: trio.SocketStream) -> None:
        await stream.send_all(b"nonsense")

    house.answers = nonsense
    known = house.one()
    assert await known.survey("app") == FAILED
    assert known.current("app") is None


async def test_a_session_that_failed_does_not_ask_again_at_once_and_fails_no_other(
    house: House, mock_clock: trio.testing.MockClock
) -> None:
    async def refuses(info: object, session: object) -> socket.socket:
        raise UpstreamFailed("prod: connection refused")

    dial, house.dial = house.dial, refuses  # type: ignore[method-assign]
    unlucky = house.one("1")
    assert await unlucky.survey("app") == FAILED
    house.dial = dial  # type: ignore[method-assign]
    assert await unlucky.survey("app") == FAILED
    assert len(house.vault.lent) == 1
    mock_clock.jump(PAUSE)
    assert await house.one("2").survey("app") == Surveyed()
    assert unlucky.current("app") == "found 1"


async def test_a_vault_that_breaks_is_a_no_to_the_survey(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def explode(*_: object) -> None:
        raise KeyError("target-secret")

    monkeypatch.setattr(house.vault, "lease", explode)
    assert await house.one().survey("app") == FAILED
    assert house.events[-1]["reason"] == "vault test: the vault failed (KeyError)"
    assert "target-secret" not in str(house.events)


async def test_a_session_that_ends_leaves_no_lease_and_no_connection(house: House) -> None:
    closed = trio.Event()

    async def hangs(stream: trio.SocketStream) -> None:
        assert not await stream.receive_some(1)
        closed.set()

    house.answers = hangs
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.one().survey, "app")
            await trio.testing.wait_all_tasks_blocked(0.05)
            scope.cancel()
    with trio.fail_after(5):
        await closed.wait()
    assert house.vault.revoked == ["lease-1"]
    assert house.left() == []


async def test_only_so_many_are_under_way_and_nobody_starves_another_target(house: House) -> None:
    most, now, go = 0, 0, trio.Event()

    async def waits(stream: trio.SocketStream) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await go.wait()
        now -= 1
        await stream.send_all(b"found")

    house.answers = waits
    async with trio.open_nursery() as nursery:
        for n in range(AT_ONCE * 2):
            nursery.start_soon(house.one(str(n)).survey, f"database {n}")
        await trio.testing.wait_all_tasks_blocked(0.1)
        go.set()
    assert most == AT_ONCE
    assert len(house.vault.revoked) == AT_ONCE * 2
