"""Access that is asked for ahead of a session: granted for a time, to one person, for one target, and taken back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from plugins.approvals.tests.approvalhouse import House, lead
from tests.rulehouse import alice

carol = lead("carol")


async def granted(house: House, lasts: float = 3_600) -> str:
    row = await house.one(alice, "new", target="prod-db", reason="deploy", **{"for": lasts})
    what = {"request": row["id"], "digest": row["digest"], "reason": "ok"}
    assert (await house.one(carol, "approve", **what))["status"] == "approved"
    return str(row["id"])


async def test_a_grant_opens_one_target_to_one_person_for_a_time(tmp_path: Path) -> None:
    house = House(tmp_path)
    id_ = await granted(house)
    grant = house.desk.grant_for(alice, "prod-db")
    assert grant is not None
    assert (grant.id, grant.until, grant.by, grant.reason) == (id_, house.now + 3_600, ("carol",), "deploy")
    assert house.desk.grant_for(alice, "other-db") is None
    for somebody in (carol, replace(alice, issuer="other"), replace(alice, subject="18")):
        assert house.desk.grant_for(somebody, "prod-db") is None
    house.now += 3_600
    assert house.desk.grant_for(alice, "prod-db") is None


async def test_of_two_grants_the_longer_one_stands(tmp_path: Path) -> None:
    house = House(tmp_path)
    longer = await granted(house, 7_200)
    await granted(house, 60)
    grant = house.desk.grant_for(alice, "prod-db")
    assert grant is not None
    assert grant.id == longer


async def test_a_grant_outlives_the_gateway_and_ends_on_time(tmp_path: Path) -> None:
    id_ = await granted(House(tmp_path))
    after = House(tmp_path)
    grant = after.desk.grant_for(alice, "prod-db")
    assert grant is not None
    assert grant.id == id_
    assert House(tmp_path, now=after.now + 3_601).desk.grant_for(alice, "prod-db") is None


async def test_a_grant_is_taken_back_and_its_sessions_end(tmp_path: Path) -> None:
    house = House(tmp_path)
    id_ = await granted(house)
    assert (await house.one(carol, "revoke", request=id_, reason="enough"))["status"] == "revoked"
    assert house.desk.grant_for(alice, "prod-db") is None
    assert house.ended == [(id_, "the grant that it stood on was taken back")]
    assert house.kinds()[-1] == "approval.revoked"
    assert "409" in await house.refused(carol, "revoke", request=id_)
    assert House(tmp_path).desk.grant_for(alice, "prod-db") is None


async def test_who_asked_may_give_up_and_nobody_else_may_do_it_for_them(tmp_path: Path) -> None:
    house = House(tmp_path)
    row = await house.one(alice, "new", target="prod-db", reason="deploy", **{"for": 60})
    assert "404" in await house.refused(lead("erin", "devs"), "revoke", request=row["id"])
    assert "deny it" in await house.refused(carol, "revoke", request=row["id"])
    assert (await house.one(alice, "revoke", request=row["id"]))["status"] == "withdrawn"


async def test_nobody_grants_themselves_anything(tmp_path: Path) -> None:
    house = House(tmp_path)
    row = await house.one(carol, "new", target="prod-db", reason="deploy", **{"for": 60})
    what = {"request": row["id"], "digest": row["digest"], "reason": "ok"}
    assert "nobody decides on their own request" in await house.refused(carol, "approve", **what)
    assert house.desk.grant_for(carol, "prod-db") is None


async def test_what_is_not_offered_cannot_be_asked_for(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert "403" in await house.refused(alice, "new", target="other", reason="x", **{"for": 60})
    assert "7200 seconds at most" in await house.refused(
        alice, "new", target="prod-db", reason="x", **{"for": 7_201}
    )
    assert "400" in await house.refused(alice, "new", target="prod-db", reason="x", **{"for": 0})
    assert "say why" in await house.refused(alice, "new", target="prod-db", **{"for": 60})
    assert "as a person" in await house.refused(None, "new", target="prod-db", reason="x", **{"for": 60})
    assert house.book.list() == []


async def test_a_request_for_access_that_nobody_decides_ends(tmp_path: Path) -> None:
    house = House(tmp_path)
    row = await house.one(alice, "new", target="prod-db", reason="deploy", **{"for": 60})
    house.now += 601
    what = {"request": row["id"], "digest": row["digest"], "reason": "ok"}
    assert await house.refused(carol, "approve", **what) == "409 this request is expired already"
    assert house.kinds() == ["approval.asked", "approval.expired"]
    assert house.desk.grant_for(alice, "prod-db") is None


async def test_a_request_for_access_waits_over_a_restart(tmp_path: Path) -> None:
    house = House(tmp_path)
    row = await house.one(alice, "new", target="prod-db", reason="deploy", **{"for": 60})
    after = House(tmp_path)
    what = {"request": row["id"], "digest": row["digest"], "reason": "ok"}
    assert (await after.one(carol, "approve", **what))["status"] == "approved"
    assert after.desk.grant_for(alice, "prod-db") is not None
