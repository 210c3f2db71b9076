"""Guessing becomes slow; nobody can lock somebody else out (threat 7)."""

from __future__ import annotations

from recgate.guard import FREE_ATTEMPTS, MAX_TRACKED, MAX_WAIT, NAME_FREE_ATTEMPTS, NAME_WAIT, LoginGuard


def test_mistyping_a_few_times_costs_nothing() -> None:
    guard = LoginGuard()
    for _ in range(FREE_ATTEMPTS - 1):
        guard.failed("10.0.0.1", "alice", 0.0)
    assert guard.wait("10.0.0.1", "alice", 0.0) == 0


def test_an_address_waits_longer_each_time_but_never_for_good() -> None:
    guard = LoginGuard()
    waits = []
    for n in range(FREE_ATTEMPTS + 12):
        guard.failed("10.0.0.1", "", float(n))
        waits.append(guard.wait("10.0.0.1", "", float(n)))
    assert waits[FREE_ATTEMPTS - 1 :][:3] == [1.0, 2.0, 4.0]
    assert max(waits) == MAX_WAIT
    assert guard.wait("10.0.0.1", "", 10_000.0) == 0


def test_another_address_does_not_wait() -> None:
    guard = LoginGuard()
    for _ in range(FREE_ATTEMPTS + 5):
        guard.failed("10.0.0.1", "alice", 0.0)
    assert guard.wait("10.0.0.2", "alice", 0.0) == 0


def test_a_name_guessed_from_everywhere_slows_strangers_only() -> None:
    guard = LoginGuard()
    guard.failed("10.9.9.9", "alice", 0.0)
    guard.succeeded("10.9.9.9", "alice", 0.0)
    for n in range(NAME_FREE_ATTEMPTS):
        guard.failed(f"10.0.{n}.1", "alice", 1.0)
    assert guard.wait("10.9.9.9", "alice", 1.0) == 0, "the owner gets in from where she always does"
    assert guard.wait("10.7.7.7", "alice", 1.0) == 0, "and from where nobody has failed"
    guard.failed("10.7.7.7", "alice", 1.0)
    assert 0 < guard.wait("10.7.7.7", "alice", 1.0) <= NAME_WAIT, "who guesses waits, for a bounded time"
    assert guard.wait("10.7.7.7", "alice", 1.0 + NAME_WAIT) == 0


def test_threat_7_no_crowd_of_attackers_keeps_a_user_out_from_elsewhere() -> None:
    guard = LoginGuard()
    for second in range(600):
        for n in range(10):
            guard.failed(f"10.{second % 256}.{n}.1", "alice", float(second))
        assert guard.wait("192.0.2.1", "alice", float(second)) == 0


def test_what_metrics_see() -> None:
    guard = LoginGuard()
    assert (guard.waiting(0.0), guard.guessed(0.0)) == (0, 0)
    for _ in range(NAME_FREE_ATTEMPTS):
        guard.failed("10.0.0.1", "alice", 0.0)
    guard.failed("10.0.0.2", "bob", 0.0)
    assert (guard.waiting(0.0), guard.guessed(0.0)) == (1, 1)
    assert (guard.waiting(MAX_WAIT + 1), guard.guessed(10_000.0)) == (0, 0)


def test_success_forgets_the_address() -> None:
    guard = LoginGuard()
    for _ in range(FREE_ATTEMPTS + 1):
        guard.failed("10.0.0.1", "alice", 0.0)
    guard.succeeded("10.0.0.1", "alice", 0.0)
    assert guard.wait("10.0.0.1", "alice", 0.0) == 0


def test_threat_7_many_addresses_of_one_attacker_are_one() -> None:
    guard = LoginGuard()
    for n in range(FREE_ATTEMPTS + 1):
        guard.failed(f"2001:db8:1:2::{n:x}", "alice", 0.0)
        guard.failed(f"{'::ffff:' * (n % 2)}192.0.2.1", "alice", 0.0)
    assert guard.wait("2001:db8:1:2:ffff::1", "alice", 0.0) > 0
    assert guard.wait("::ffff:192.0.2.1", "alice", 0.0) > 0
    assert guard.wait("192.0.2.1", "alice", 0.0) > 0
    assert guard.wait("2001:db8:1:3::1", "alice", 0.0) == 0, "a neighbour is somebody else"
    guard.succeeded("2001:db8:1:2::7", "alice", 0.0)
    assert guard.wait("2001:db8:1:2::1", "alice", 0.0) == 0


def test_memory_is_bounded() -> None:
    guard = LoginGuard()
    for n in range(MAX_TRACKED + 50):
        guard.failed(f"address {n}", f"name {n}", 0.0)
    assert len(guard._addresses) == MAX_TRACKED
    assert len(guard._names) == MAX_TRACKED
