"""Variables are taken out of the environment, lent by a path, and there again after a reload."""

import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo
from recgate_secrets.environment import EnvironmentSettings, EnvironmentVault

ALICE = Principal("local", "1", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)


async def lent(vault, path):
    return (await vault.lease(path, ALICE, TARGET, "S")).credential


async def test_a_variable_is_lent_and_no_child_inherits_it(monkeypatch):
    monkeypatch.setenv("RGT_TEST_PROD_DB", '{"username": "app", "password": "p"}')
    vault = EnvironmentVault(EnvironmentSettings(prefix="RGT_TEST_"))
    assert "RGT_TEST_PROD_DB" not in os.environ
    assert (await lent(vault, "prod-db")).password == Secret("p")
    assert (await lent(vault, "prod.db")).username == "app"
    again = EnvironmentVault(EnvironmentSettings(prefix="RGT_TEST_"))
    assert (await lent(again, "PROD_DB")).password == Secret("p")


def test_the_kernel_shows_it_no_more():
    """Taken out of the environment alone, it would stay in what `/proc` shows of the process."""
    program = """
from recgate_secrets.environment import EnvironmentSettings, EnvironmentVault
shown = lambda: open("/proc/self/environ", "rb").read()
print(shown().count(b"canary"), shown().count(b"beside"))
EnvironmentVault(EnvironmentSettings())
print(shown().count(b"canary"), shown().count(b"beside"))
"""
    variables = {"RECGATE_SECRET_A": "canary", "RECGATE_SECRET_B": "canary" * 3, "OTHER": "beside"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=variables, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["4 1", "0 1"]


async def test_leases_are_told_apart_and_end_without_a_word(monkeypatch):
    monkeypatch.setenv("RGT_TEST_ONE", "p")
    vault = EnvironmentVault(EnvironmentSettings(prefix="RGT_TEST_"))
    one, two = [await vault.lease("one", ALICE, TARGET, "S") for _ in range(2)]
    assert one.id != two.id
    assert one.ttl is None
    assert await vault.renew(one) is one
    await vault.revoke(one)


@pytest.mark.parametrize("path", ["absent", "../x", "a/b", "", "a b", "ä", "-x", "a" * 201])
async def test_what_is_not_there_is_refused(path):
    with pytest.raises(VaultFailed, match="vault env"):
        await lent(EnvironmentVault(EnvironmentSettings(prefix="RGT_TEST_")), path)


@pytest.mark.parametrize("prefix", ["", "PATH", "A_", "lower_", "NO-DASH_"])
def test_a_prefix_that_takes_too_much_is_refused(prefix):
    with pytest.raises(ValidationError):
        EnvironmentSettings(prefix=prefix)
