"""PostgreSQL's and its drivers' own suites give through the gateway what they give direct."""

import pytest

from tests.conformance import drivers, psql, regress
from tests.conformance.origin import SuiteMissing
from tests.conformance.outcome import explained, unexplained
from tests.conformance.stage import server, through


def _direct(tests):
    """Run on a fresh server: the suite leaves roles and settings behind."""
    with server() as (cluster, address):
        return regress.run(cluster, address, tests)


def _through(tests, *, guarded):
    with server() as (cluster, address), through(address, guarded=guarded) as gateway:
        return regress.run(cluster, gateway, tests)


@pytest.fixture(scope="module")
def quick():
    """What the quick ones give direct, or why there is nothing to compare with."""
    try:
        return _direct(regress.QUICK)
    except SuiteMissing as missing:
        return missing


@pytest.fixture(scope="module")
def whole():
    """What all of them give direct, or why there is nothing to compare with."""
    try:
        return _direct(())
    except SuiteMissing as missing:
        return missing


GUARDED = pytest.mark.parametrize("guarded", [False, True], ids=["plain", "policy and masks"])


def _differences(direct, gateway, known):
    """Compare output for output; a difference is shown by its first lines that are not the same."""
    names = [line.partition(":")[0] for line in unexplained(direct, gateway, known)]
    return {name: _first(direct.get(name, ""), gateway.get(name, "")) for name in names}


def _first(direct, gateway):
    lines = zip(direct.splitlines(), gateway.splitlines(), strict=False)
    return next((f"{a!r} became {b!r}" for a, b in lines if a != b), "one is longer")


@GUARDED
def test_psql_says_the_same(guarded):
    with server() as (_, address), through(address, guarded=guarded) as gateway:
        assert _differences(psql.run(address), psql.run(gateway), {}) == {}


@GUARDED
def test_regression_queries_give_the_same_quick(quick, guarded, say_missing):
    if isinstance(quick, SuiteMissing):
        say_missing(f"PostgreSQL's regression queries; test_psql_says_the_same stands alone: {quick}")
        return
    gateway = _through(regress.QUICK, guarded=guarded)
    assert set(quick) == set(regress.QUICK)
    known = {name: why for name, why in explained("pg_regress").items() if name in regress.QUICK}
    assert _differences(quick, gateway, known) == {}


@pytest.mark.conformance
@pytest.mark.timeout(1800)
@GUARDED
def test_regression_queries_give_the_same(whole, guarded, say_missing):
    if isinstance(whole, SuiteMissing):
        say_missing(f"PostgreSQL's regression queries: {whole}")
        return
    gateway = _through((), guarded=guarded)
    assert len(whole) > 200
    section = "pg_regress, policy and masks" if guarded else "pg_regress"
    assert _differences(whole, gateway, explained(section)) == {}


@pytest.mark.conformance
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("project", ["asyncpg", "pg8000"])
def test_drivers_suites_give_the_same(project, say_missing):
    try:
        with server() as (_, address):
            direct = drivers.run(project, address)
        with server() as (_, address), through(address) as gateway:
            through_gateway = drivers.run(project, gateway)
    except SuiteMissing as missing:
        say_missing(f"{project}'s suite: {missing}")
        return
    assert sum(outcome == "passed" for outcome in direct.values()) > 200
    assert unexplained(direct, through_gateway, explained(project)) == []
