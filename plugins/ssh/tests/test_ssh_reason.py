"""A reason behind the target's name, as real clients say it."""

import pytest

from plugins.ssh.tests.gate import Gate
from recgate_ssh.reason import MAX_REASON, parted


@pytest.mark.parametrize(
    ("name", "login", "reason"),
    [
        ("prod-web", "prod-web", ""),
        ("prod-web,INC-4711", "prod-web", "INC-4711"),
        ("alice+prod-web, disk is full, a+b", "alice+prod-web", "disk is full, a+b"),
        ("Doe, Alice+prod-web", "Doe, Alice+prod-web", ""),
        ("Doe, Alice+prod-web,INC-1", "Doe, Alice+prod-web", "INC-1"),
        ("uid=alice,ou=x+prod-web", "uid=alice,ou=x+prod-web", ""),
        ("prod-web,", "prod-web,", ""),
        ("", "", ""),
        ("prod-web," + "x" * (MAX_REASON + 1), "prod-web," + "x" * (MAX_REASON + 1), ""),
    ],
)
def test_login_names(name: str, login: str, reason: str) -> None:
    assert parted(name) == (login, reason)


async def test_ssh_says_it_in_the_login_name(gate: Gate):
    for login in ("prod-web,INC-4711 disk is full", "alice+prod-web,INC-4711 disk is full"):
        done = await gate.ssh("echo in", login=login)
        assert done.stdout == b"in\n", done
    assert [details["reason"] for details in gate.details] == ["INC-4711 disk is full"] * 2
    assert all("," not in name for name, _ in gate.tried)


async def test_without_one_nothing_is_said(gate: Gate):
    await gate.ssh("true")
    assert "reason" not in gate.details[0]


async def test_a_name_is_still_exactly_whom_the_credential_proves(gate: Gate):
    done = await gate.ssh("echo in", login="bob+prod-web,INC-1")
    assert done.stdout == b""
    assert done.returncode == 255
