"""What is traced, next to what a real server shows: nothing that comes out, or that changes what comes out, is missing.

`lineage.txt` holds queries, each followed by what is traced of it: the origins of each column of the result, behind `?`
what decides, behind `>` what leaves otherwise. An origin with `~` is held for one that the server does not show: the
price of being sure. Rewrite it with `python -m plugins.postgres.tests.test_postgres_origin_truth`, and read the
difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.postgres.tests.lineage import CANARIES, DATABASE, PATH, Truth, connected, named, prepared
from plugins.postgres.tests.surveying import snapshot
from recgate_postgres.origin.model import Origin, Traced, Untraceable
from recgate_postgres.origin.tracing import Tracer
from tests.peers.postgres import Cluster, wheel_bin

TABLE = Path(__file__).with_name("lineage.txt")


def entries() -> list[tuple[str, str]]:
    """Give the table's queries, each with what is said of it."""
    found: list[tuple[str, str]] = []
    for line in TABLE.read_text().splitlines():
        if line.startswith("    "):
            found[-1] = (found[-1][0], line.strip())
        else:
            found.append((line, ""))
    return found


@pytest.fixture(scope="module", params=["debian", "wheel"])
def server(request) -> Iterator[tuple[Truth, Tracer]]:
    cluster: Cluster = request.getfixturevalue(request.param)
    prepared(cluster)
    with connected(cluster) as connection:
        yield Truth(connection), Tracer(snapshot(cluster, DATABASE))
    cluster.psql(f"DROP DATABASE {DATABASE}")


def traced(tracer: Tracer, query: str) -> Traced:
    (found,) = tracer.trace(query, PATH)
    return found


def test_nothing_that_the_server_shows_is_missing(server):
    truth, tracer = server
    shown = moved = 0
    for query, _ in entries():
        found = traced(tracer, query)
        real = truth.shown(query)
        if not real or query.startswith("explain") or any("trigger" in each.way for each in found.escapes):
            continue  # of another version, or nobody says that it can be followed
        columns = [named(each) for each in found.columns or ()]
        if found.loose:
            columns *= len(real)
        assert len(columns) == len(real), query
        for place, (claimed, actual) in enumerate(zip(columns, real, strict=True)):
            assert missing(actual, claimed) == set(), (query, place)
            shown += len(actual)
        decides = named(found.predicates)
        for name, places in truth.moved(query, truth.near(query)).items():
            for place in places:
                assert not missing({name}, columns[place] | decides), (query, name, place)
                moved += 1
    assert shown > 200
    assert moved > 400


@pytest.mark.parametrize(
    "query", ["select bit_or(c) from customers c", "select opaque()", "select grown('', c) from customers c"]
)
def test_code_that_cannot_be_read_is_not_followed(server, query):
    truth, tracer = server
    assert truth.shown(query) == [{"customers.ssn"}]
    with pytest.raises(Untraceable):
        tracer.trace(query, PATH)


def missing(actual: set[str], claimed: set[str]) -> set[str]:
    return set() if "*.*" in claimed else actual - claimed


def test_the_table_says_what_is_traced(server):
    truth, tracer = server
    if truth.connection.info.server_version < 180000:
        return  # the table is of the last version
    for query, said in entries():
        assert written(truth, query, traced(tracer, query)) == said, query


def written(truth: Truth, query: str, found: Traced) -> str:
    """Write what was traced, with a mark at what the server does not show."""
    columns = found.columns or ()
    real = truth.shown(query) or []
    moved = truth.moved(query, truth.near(query)) if real else {}
    parts: list[str] = []
    for place, origins in enumerate(columns):
        actual = set().union(*real) if found.loose else real[place] if place < len(real) else set()
        actual |= {name for name, places in moved.items() if found.loose or place in places}
        parts.append(_column(origins, actual, plain=found.plain[place]))
    said = "= " + (" | ".join(parts) if found.columns is not None else "nothing")
    if found.loose:
        said += " ..."
    if found.predicates:
        said += " ? " + " ".join(sorted(named(found.predicates)))
    for each in found.escapes:
        said += f" > {each.way}: " + " ".join(sorted(named(each.origins)))
    return said


def _column(origins: frozenset[Origin], actual: set[str], *, plain: bool) -> str:
    names = sorted(named(origins))
    marked = [name if name in actual or name not in CANARIES else f"~{name}" for name in names]
    return (" ".join(marked) or "-") + ("!" if plain else "")


if __name__ == "__main__":
    with Cluster(wheel_bin(), tls=False) as cluster:
        prepared(cluster)
        tracer = Tracer(snapshot(cluster, DATABASE))
        with connected(cluster) as connection:
            lines = [
                f"{query}\n    {written(Truth(connection), query, traced(tracer, query))}\n"
                for query, _ in entries()
            ]
    TABLE.write_text("".join(lines))
