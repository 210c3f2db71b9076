"""Vaults that another vault unlocks: introduced to each other, asked until they are open, kept open over a reload."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import trio

from recgate.errors import PluginError, VaultFailed
from recgate.model import Secret
from recgate.providers import Vault
from recgate.testing.people import FakeVault
from recgate.unlocking import FIRST_PAUSE, LONGEST_PAUSE, Unlocker, connect, inherit, locked, unlock


@dataclass
class Keeping(FakeVault):
    """Keeps keys for others, by not hiding them."""

    name: str = "hv"

    def wrap(self, key: str, plain: Secret, about: bytes) -> str:
        return plain.reveal().hex()

    def unwrap(self, key: str, wrapped: str, about: bytes) -> Secret:
        return Secret(bytes.fromhex(wrapped))


@dataclass
class Shut(FakeVault):
    """Fails to unlock as often as `fails` says."""

    name: str = "local"
    unlocked_by: str = "hv"
    fails: int = 0
    reasons: list[str] = field(default_factory=list[str])
    tried: list[float] = field(default_factory=list[float])
    unlocker: Unlocker | None = None
    inherited: Vault | None = None

    def unlock_with(self, unlocker: Unlocker) -> None:
        self.unlocker = unlocker

    def inherit(self, before: Vault) -> None:
        self.inherited = before

    async def unlock(self) -> None:
        self.tried.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(self.tried) <= self.fails:
            raise VaultFailed(self.reasons.pop(0) if self.reasons else "hv is away")


@dataclass
class Heard:
    """Keeps audit events."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list[tuple[str, dict[str, object]]])

    def emit(self, event: str, /, **facts: object) -> None:
        self.events.append((event, facts))


def by_name(*vaults: Vault) -> dict[str, Vault]:
    return {vault.name: vault for vault in vaults}


def test_a_locked_vault_gets_the_one_that_it_names() -> None:
    keeping, shut = Keeping(), Shut()

    connect(by_name(shut, keeping, FakeVault()))

    assert shut.unlocker is keeping
    assert list(locked(by_name(shut, keeping, Shut(name="open", unlocked_by="")))) == ["local"]


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("vh", r"local is to be unlocked by 'vh', and there is no such vault\. .* there are hv, test\."),
        ("test", "unlocked by test, which keeps no keys for others"),
        ("local", "unlocked by local, which keeps no keys for others"),
    ],
)
def test_a_vault_that_nothing_can_unlock_refuses_the_start(by: str, reason: str) -> None:
    with pytest.raises(PluginError, match=reason):
        connect(by_name(Shut(unlocked_by=by), Keeping(), FakeVault()))


async def test_it_is_tried_until_it_is_open_more_and_more_rarely(autojump_clock: object) -> None:
    shut, heard = Shut(fails=8), Heard()

    await unlock("local", lambda: by_name(shut), heard)

    waits = [later - before for before, later in zip(shut.tried, shut.tried[1:], strict=False)]
    assert waits[0] == pytest.approx(FIRST_PAUSE)
    assert waits == sorted(waits)
    assert waits[-1] == pytest.approx(LONGEST_PAUSE)
    assert heard.events == [
        ("vault.locked", {"vault": "local", "by": "hv", "reason": "hv is away"}),
        ("vault.unlocked", {"vault": "local", "by": "hv"}),
    ]


async def test_another_reason_is_told_as_well(autojump_clock: object) -> None:
    shut, heard = Shut(fails=4, reasons=["away", "away", "no permission", "no permission"]), Heard()

    await unlock("local", lambda: by_name(shut), heard)

    assert [facts.get("reason") for _, facts in heard.events] == ["away", "no permission", None]


async def test_a_vault_that_a_reload_has_replaced_is_not_asked_for_any_more(autojump_clock: object) -> None:
    old, new = Shut(fails=1_000), Shut()
    vaults = by_name(old)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(unlock, "local", lambda: vaults, Heard())
        while len(old.tried) < 4:  # noqa: ASYNC110 - by the clock of the test
            await trio.sleep(0.1)
        vaults.update(by_name(new))

    assert len(old.tried) == 4


def test_what_is_open_stays_open_over_a_reload() -> None:
    before, new = Shut(), Shut(name="new")

    shut = Shut()
    inherit(by_name(shut, new, Keeping()), by_name(before, Keeping()))

    assert shut.inherited is before
    assert new.inherited is None
