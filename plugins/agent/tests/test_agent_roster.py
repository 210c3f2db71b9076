"""The list of agents: one-time tokens that are, several writers, and a file that others may not touch."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recgate_agent.roster import MAX_INVITATIONS, NotGood, Roster, RosterFailed

NOW = 1_000_000.0
KEYS = [bytes([n]) * 32 for n in range(40)]


@pytest.fixture
def roster(tmp_path: Path) -> Roster:
    return Roster(tmp_path)


def test_a_token_is_good_once(roster: Roster) -> None:
    token = roster.invite("relay", ["db", "web", "db"], 60, NOW)
    assert roster.invitation(token, NOW).targets == ("db", "web")
    made = roster.enroll(token, KEYS[0], "10.0.0.1:1", NOW + 1)
    assert (made.name, made.targets, made.stands) == ("relay", ("db", "web"), True)
    for again in (
        lambda: roster.enroll(token, KEYS[1], "", NOW + 2),
        lambda: roster.invitation(token, NOW + 2),
    ):
        with pytest.raises(NotGood, match="unknown, or was used already"):
            again()
    assert roster.read().agents == {"relay": made}


def test_of_many_that_use_one_token_at_once_one_gets_in(roster: Roster) -> None:
    token = roster.invite("relay", ["db"], 60, NOW)

    def use(key: bytes) -> bool:
        try:
            Roster(roster.path.parent).enroll(token, key, "", NOW)
        except NotGood:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, KEYS)) == 1


def test_an_expired_token_is_not_good(roster: Roster) -> None:
    token = roster.invite("relay", ["db"], 60, NOW)
    with pytest.raises(NotGood, match="has expired"):
        roster.invitation(token, NOW + 60)
    with pytest.raises(NotGood):
        roster.enroll(token, KEYS[0], "", NOW + 60)
    assert not roster.read().agents


def test_a_new_token_ends_the_one_before(roster: Roster) -> None:
    first = roster.invite("relay", ["db"], 60, NOW)
    roster.invite("relay", ["db"], 60, NOW)
    with pytest.raises(NotGood):
        roster.enroll(first, KEYS[0], "", NOW)


def test_an_agent_is_replaced_when_the_token_is_used_and_not_before(roster: Roster) -> None:
    roster.enroll(roster.invite("relay", ["db"], 60, NOW), KEYS[0], "", NOW)
    roster.revoke("relay", NOW + 1)
    token = roster.invite("relay", ["web"], 60, NOW + 2)
    assert not roster.read().agents["relay"].stands
    made = roster.enroll(token, KEYS[1], "", NOW + 3)
    assert (made.stands, made.key, made.targets) == (True, KEYS[1], ("web",))


def test_one_key_is_one_agent(roster: Roster) -> None:
    roster.enroll(roster.invite("one", ["db"], 60, NOW), KEYS[0], "", NOW)
    with pytest.raises(NotGood, match="another agent"):
        roster.enroll(roster.invite("two", ["db"], 60, NOW), KEYS[0], "", NOW)


def test_revoked_is_revoked_and_takes_the_token_with_it(roster: Roster) -> None:
    roster.enroll(roster.invite("relay", ["db"], 60, NOW), KEYS[0], "", NOW)
    token = roster.invite("relay", ["db"], 60, NOW)
    assert roster.revoke("relay", NOW + 1)
    assert roster.revoke("relay", NOW + 9)
    assert roster.read().agents["relay"].revoked == NOW + 1
    with pytest.raises(NotGood):
        roster.enroll(token, KEYS[1], "", NOW + 2)
    roster.connected("relay", "10.0.0.1:1", NOW + 3)
    assert not roster.read().agents["relay"].stands
    assert roster.remove("relay", NOW)
    assert not roster.remove("relay", NOW)
    assert not roster.revoke("relay", NOW)
    roster.connected("relay", "10.0.0.1:1", NOW)
    assert not roster.read().agents


def test_nothing_secret_is_in_the_file_and_nobody_else_reads_it(roster: Roster) -> None:
    token = roster.invite("relay", ["db"], 60, NOW)
    assert stat.S_IMODE(roster.path.stat().st_mode) == 0o600
    assert token.removeprefix("rga_") not in roster.path.read_text()
    before = roster.version
    roster.enroll(token, KEYS[0], "", NOW)
    assert roster.version != before
    assert [each.name for each in roster.path.parent.iterdir()] == ["agents.json"]


def test_root_leaves_the_file_to_the_gateways_own_user(roster: Roster) -> None:
    # Tests run as root where the gateway does not: the file must still be the gateway's.
    owner = 65_534 if os.geteuid() == 0 else os.geteuid()
    os.chown(roster.path.parent, owner, -1)
    roster.invite("relay", ["db"], 60, NOW)
    assert roster.path.stat().st_uid == owner


def test_a_file_that_others_may_write_is_not_believed(roster: Roster) -> None:
    roster.invite("relay", ["db"], 60, NOW)
    roster.path.chmod(0o660)
    with pytest.raises(RosterFailed, match="others may get at it"):
        roster.read()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2}', '{"version": 1, "agents": [{}], "invitations": []}', "[" * 90_000],
)
def test_a_damaged_file_lets_nobody_in(roster: Roster, text: str) -> None:
    roster.path.write_text(text)
    roster.path.chmod(0o600)
    with pytest.raises(RosterFailed, match="is damaged"):
        roster.read()


def test_a_short_key_is_damage(roster: Roster) -> None:
    roster.enroll(roster.invite("relay", ["db"], 60, NOW), KEYS[0], "", NOW)
    content = json.loads(roster.path.read_text())
    content["agents"][0]["key"] = "AAAA"
    roster.path.write_text(json.dumps(content))
    with pytest.raises(RosterFailed, match="is damaged"):
        roster.read()


def test_tokens_that_wait_are_bounded(roster: Roster) -> None:
    content = {
        "version": 1,
        "agents": [],
        "invitations": [
            {"name": f"r{n}", "hash": "A" * 43, "targets": [], "issued": NOW, "expires": NOW + 60}
            for n in range(MAX_INVITATIONS)
        ],
    }
    roster.path.write_text(json.dumps(content))
    roster.path.chmod(0o600)
    with pytest.raises(RosterFailed, match="wait to be used"):
        roster.invite("relay", ["db"], 60, NOW)
    roster.invite("relay", ["db"], 60, NOW + 61)
    assert len(roster.read().invitations) == 1
