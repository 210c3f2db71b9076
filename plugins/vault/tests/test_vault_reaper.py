"""What was lent to nobody is given back, and what cannot be is told."""

import threading

import pytest
from structlog.testing import capture_logs

from recgate.errors import VaultFailed
from recgate_vault import reaper as module
from recgate_vault.reaper import Reaper

PATIENCE = 20.0
AWAY = VaultFailed("away")


class Vault:
    """Refuses the first `refusals` of each loan."""

    def __init__(self, refusals=0, exc: Exception = AWAY):
        self.refusals = refusals
        self.exc = exc
        self.asked = []
        self.done = threading.Event()

    def revoke(self, name):
        self.asked.append(name)
        if self.asked.count(name) <= self.refusals:
            raise self.exc
        self.done.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    # The default of a dataclass field was taken at import.
    monkeypatch.setattr(module._Stray.__init__, "__defaults__", (0.01, 0.0))


def until_idle(reaper):
    done = threading.Event()
    while reaper.waiting:
        done.wait(0.005)


def test_a_loan_is_given_back():
    vault = Vault()
    reaper = Reaper("hv", vault.revoke)
    with capture_logs() as logs:
        reaper.take("vault:hv:lease:a", 60)
        assert vault.done.wait(PATIENCE)
        until_idle(reaper)

    assert vault.asked == ["vault:hv:lease:a"]
    assert [each["event"] for each in logs] == ["lease.stray", "lease.revoked"]


def test_it_is_tried_again_while_the_vault_is_away():
    vault = Vault(refusals=3)
    reaper = Reaper("hv", vault.revoke)

    reaper.take("vault:hv:lease:a", 60)
    assert vault.done.wait(PATIENCE)
    assert vault.asked == ["vault:hv:lease:a"] * 4


def test_a_loan_whose_time_is_over_is_told_of_and_let_go():
    """Never silently."""
    vault = Vault(refusals=1_000)
    reaper = Reaper("hv", vault.revoke)
    with capture_logs() as logs:
        reaper.take("vault:hv:lease:a", 0.0)
        until_idle(reaper)

    assert [(each["event"], each["lease"], each.get("reason")) for each in logs] == [
        ("lease.stray", "vault:hv:lease:a", None),
        ("lease.unrevoked", "vault:hv:lease:a", "away"),
    ]


def test_one_that_breaks_does_not_keep_the_others():
    vault = Vault(refusals=1, exc=RuntimeError("canary"))
    reaper = Reaper("hv", vault.revoke)
    with capture_logs() as logs:
        reaper.take("a", 60)
        until_idle(reaper)
        reaper.take("a", 60)
        assert vault.done.wait(PATIENCE)
        until_idle(reaper)

    assert [each["event"] for each in logs] == [
        "lease.stray",
        "lease.unrevoked",
        "lease.stray",
        "lease.revoked",
    ]
    assert "canary" not in str(logs)


def test_it_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    go = threading.Event()

    def revoke(name):
        assert go.wait(PATIENCE)

    reaper = Reaper("hv", revoke)
    with capture_logs() as logs:
        reaper.take("a", 60)
        reaper.take("b", 60)
        go.set()
        until_idle(reaper)

    assert [(each["event"], each["lease"]) for each in logs] == [
        ("lease.stray", "a"),
        ("lease.stray", "b"),
        ("lease.unrevoked", "b"),
        ("lease.revoked", "a"),
    ]
