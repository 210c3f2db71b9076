"""The way in and out: what a vault does when asked at the wrong moment ends no session but its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from core.tests.test_gateway import control, house, rest, until
from recgate.decisions import Decision, Effect
from recgate.providers import Lease, PolicyRequest
from recgate.recording.recorder import Recorder
from recgate.testing.people import FakeVault


async def explode(self: object, *_: object) -> Lease:
    raise KeyError("target-secret")


async def test_threat_35_a_vault_that_breaks_at_a_renewal_ends_that_session_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as home:
        healthy = await home.opened()
        home.vault.ttl = 0.1
        monkeypatch.setattr(FakeVault, "renew", explode)
        said = await rest(await home.login())
        assert b"BYE vault: the credential's lease could not be kept" in said
        assert (await home.event("lease.lost"))[
            "reason"
        ] == "the credential's lease could not be kept: the vault failed (KeyError)"
        await healthy.send_all(b"ASK on\n")
        assert await until(healthy, b"on\n") == b"ANSWER to ASK on\n"


async def test_threat_35_a_vault_that_breaks_at_a_revocation_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as home:
        healthy = await home.opened()
        monkeypatch.setattr(FakeVault, "revoke", explode)
        await (await home.opened()).aclose()
        await home.event("session.closed")
        assert (await home.event("lease.unrevoked"))["reason"] == "the vault failed (KeyError)"
        await healthy.send_all(b"ASK on\n")
        assert await until(healthy, b"on\n") == b"ANSWER to ASK on\n"


async def test_a_session_whose_end_cannot_be_written_is_over_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as home:
        healthy = await home.opened()
        leaving = await home.opened()
        with monkeypatch.context() as broken:
            broken.setattr(Recorder, "close", explode)
            await leaving.aclose()
            assert (await home.event("session.closed"))["seal"] == "failed: KeyError"
        assert len(home.gateway.live) == 1
        await healthy.send_all(b"ASK on\n")
        assert await until(healthy, b"on\n") == b"ANSWER to ASK on\n"


class Holds:
    """Holds every session until somebody decides, which nobody does."""

    name = "four-eyes"

    def __init__(self) -> None:
        self.asked = 0

    def decide(self, request: PolicyRequest) -> Decision:
        return Decision(Effect.HOLD, "four-eyes", "bob can approve", wait=self.wait)

    async def wait(self) -> Decision:
        self.asked += 1
        await trio.sleep_forever()
        raise AssertionError


async def never(self: object, *_: object) -> Lease:
    await trio.sleep_forever()
    raise AssertionError


@pytest.mark.parametrize("during", ["approval", "lease"])
async def test_a_session_that_is_killed_before_it_is_open_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    async with house(tmp_path) as home:
        if during == "approval":
            home.gateway.registry.policies.append(Holds())
        else:
            monkeypatch.setattr(FakeVault, "lease", never)
        waiting = await home.login()
        await home.eventually(lambda: home.gateway.live)
        (session,) = home.gateway.live
        assert (await control(home, do="kill", session=session, reason="enough"))[0]["done"] is True
        assert b"BYE killed: enough" in await rest(waiting)
        closed = await home.event("session.closed")
        assert closed["reason"] == "killed: enough"
        assert not home.gateway.live
        await home.row(session, status="sealed")
