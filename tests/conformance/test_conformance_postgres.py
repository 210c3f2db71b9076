"""PostgreSQL's and its drivers' own suites give through the gateway what they give direct."""

import pytest

from tests.conformance import drivers, psql, regress
from tests.conformance.origin import SuiteMissing
from tests.conformance.outcome import explained, unexplained
from tests.conformance.stage import server, through


def _regress(tests):
    """Run on fresh servers: the suite leaves roles and settings behind."""
    with server() as (cluster, address):
        direct = regress.run(cluster, address, tests)
    with server() as (cluster, address), through(address) as gateway:
        return direct, regress.run(cluster, gateway, tests)


def _differences(direct, gateway, known):
    """Compare output for output; a difference is shown by its first lines that are not the same."""
    names = [line.partition(":")[0] for line in unexplained(direct, gateway, known)]
    return {name: _first(direct.get(name, ""), gateway.get(name, "")) for name in names}


def _first(direct, gateway):
    lines = zip(direct.splitlines(), gateway.splitlines(), strict=False)
    return next((f"{a!r} became {b!r}" for a, b in lines if a != b), "one is longer")


def test_psql_says_the_same():
    with server() as (_, address), through(address) as gateway:
        assert _differences(psql.run(address), psql.run(gateway), {}) == {}


def test_regression_queries_give_the_same_quick(say_missing):
    try:
        direct, gateway = _regress(regress.QUICK)
    except SuiteMissing as missing:
        say_missing(f"PostgreSQL's regression queries; test_psql_says_the_same stands alone: {missing}")
        return
    assert set(direct) == set(regress.QUICK)
    known = {name: why for name, why in explained("pg_regress").items() if name in regress.QUICK}
    assert _differences(direct, gateway, known) == {}


@pytest.mark.conformance
@pytest.mark.timeout(1800)
def test_regression_queries_give_the_same(say_missing):
    try:
        direct, gateway = _regress(())
    except SuiteMissing as missing:
        say_missing(f"PostgreSQL's regression queries: {missing}")
        return
    assert len(direct) > 200
    assert _differences(direct, gateway, explained("pg_regress")) == {}


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
