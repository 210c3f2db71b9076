"""The gateway's own token at a real OpenBao: renewed, had anew, and never asked for twice at once."""

import threading
import time
from dataclasses import replace

import pytest

from recgate.errors import VaultFailed
from recgate.model import Secret
from recgate_vault.connection import Connection, Deadline, NoAnswer
from recgate_vault.keeper import Keeper
from recgate_vault.login import Grant, log_in
from recgate_vault.settings import VaultSettings


@pytest.fixture
def settings(bao, tmp_path):
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(bao.token(ttl="1h") + "\n")
    return VaultSettings.model_validate(
        {"name": "hv", "address": bao.address, "ca": bao.authority.path, "auth": {"token": {"file": token}}}
    )


@pytest.fixture
def keeper(settings):
    connection = Connection(settings)
    return Keeper(connection, lambda deadline: log_in(connection, settings.auth, deadline))


def accessors(bao):
    return bao("auth/token/accessors", method="LIST")["data"]["keys"]


def test_a_token_is_kept_and_known_by_its_accessor(keeper, bao):
    grant = keeper.current(Deadline(10))

    assert keeper.current(Deadline(10)) is grant
    assert grant.accessor in accessors(bao)
    assert grant.span == pytest.approx(3600, abs=5)
    assert grant.token.reveal().decode() not in repr(grant)


def test_a_token_is_renewed_when_half_of_it_is_over(keeper, bao):
    grant = keeper.current(Deadline(10))
    keeper._grant = replace(grant, ends=time.monotonic() + 0.4 * grant.span)

    renewed = keeper.current(Deadline(10))
    assert renewed.token == grant.token
    assert renewed.left == pytest.approx(3600, abs=5)


def test_a_token_that_was_replaced_in_its_file_is_taken_when_the_old_one_was_revoked(keeper, settings, bao):
    old = keeper.current(Deadline(10))
    bao("auth/token/revoke", {"token": old.token.reveal().decode()})
    assert keeper.instead(old, Deadline(10)) is None, "the file holds the same one still"

    settings.auth.token.file.write_text(bao.token(ttl="1h"))
    fresh = keeper.instead(old, Deadline(10))
    assert fresh is not None
    assert fresh.token != old.token
    assert keeper.current(Deadline(10)) is fresh
    assert keeper.instead(old, Deadline(10)) is fresh, "who comes later with the old one gets it as well"


def test_a_token_that_lives_is_not_replaced_because_a_request_is_not_permitted(keeper):
    """It is the policy that is at fault; a login for each refusal would be a flood."""
    grant = keeper.current(Deadline(10))

    assert keeper.instead(grant, Deadline(10)) is None
    assert keeper.current(Deadline(10)) is grant


def test_a_token_near_its_end_is_had_anew(settings):
    connection, made = Connection(settings), []

    def log_in_twice(deadline):
        made.append(
            Grant(Secret(f"t{len(made)}"), span=100, ends=time.monotonic() + (0.5 if not made else 100))
        )
        return made[-1]

    keeper = Keeper(connection, log_in_twice)
    assert keeper.current(Deadline(10)) is made[0]
    assert keeper.current(Deadline(10)) is made[1]


def test_one_thread_logs_in_and_the_others_wait_no_longer_than_they_may(settings):
    go, made = threading.Event(), []

    def slow(deadline):
        made.append(Grant(Secret("t")))
        assert go.wait(20)
        return made[-1]

    keeper = Keeper(Connection(settings), slow)
    threads = [threading.Thread(target=keeper.current, args=(Deadline(20),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    with pytest.raises(NoAnswer, match=r"did not answer a login within 0\.1 s"):
        keeper.current(Deadline(0.1))
    go.set()
    for thread in threads:
        thread.join(20)
    assert len(made) == 1


def test_a_missing_token_says_where_it_belongs(settings, monkeypatch):
    connection = Connection(settings)
    settings.auth.token.file.unlink()
    with pytest.raises(VaultFailed, match=r"token is not there\. Put it there"):
        log_in(connection, settings.auth, Deadline(10))

    settings.auth.token.file.write_text("x")
    settings.auth.token.file.chmod(0o644)
    with pytest.raises(VaultFailed, match="others may read it"):
        log_in(connection, settings.auth, Deadline(10))

    from_variable = VaultSettings.model_validate(
        {"address": settings.address, "auth": {"token": {"environment": "RECGATE_TEST_TOKEN"}}}
    )
    monkeypatch.delenv("RECGATE_TEST_TOKEN", raising=False)
    with pytest.raises(VaultFailed, match="no token in the variable RECGATE_TEST_TOKEN"):
        log_in(connection, from_variable.auth, Deadline(10))


def test_a_token_from_a_variable(settings, bao, monkeypatch):
    monkeypatch.setenv("RECGATE_TEST_TOKEN", bao.token(ttl="1h"))
    auth = VaultSettings.model_validate(
        {"address": settings.address, "auth": {"token": {"environment": "RECGATE_TEST_TOKEN"}}}
    ).auth

    assert log_in(Connection(settings), auth, Deadline(10)).accessor in accessors(bao)
