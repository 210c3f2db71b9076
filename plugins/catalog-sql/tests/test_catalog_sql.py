"""The catalog against real SQLite files and PostgreSQL, opened by several processes at once as in production."""

from __future__ import annotations

import gc
import stat
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from recgate.config import PluginEntry
from recgate.errors import RecgateError
from recgate.providers import SessionFilter, SessionRow
from recgate_catalog_sql import plugin
from recgate_catalog_sql.catalog import SqlCatalog
from recgate_catalog_sql.schema import VERSION, prepare, sessions
from tests.peers.postgres import PASSWORD, Cluster, debian_bin

ROW = SessionRow("0190-aa", "alice", ("dba", "sre"), "prod-db", "postgres", "10.0.0.7:40112", started=1000.0)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'catalog.sqlite'}"


@pytest.fixture
def catalog(url):
    made = SqlCatalog(url)
    yield made
    made.close()


def ids(rows):
    return [row.id for row in rows]


def fill(catalog, *rows):
    for row in rows:
        catalog.put(row)


def test_a_row_comes_back_as_it_was_put(catalog):
    row = replace(
        ROW,
        ended=1060.5,
        status="sealed",
        reason="closed",
        requests=3,
        rows=2**40,
        denied=1,
        approved=("carol", "dave"),
    )
    catalog.put(row)
    assert catalog.get(row.id) == row
    assert catalog.get("0190") is None


def test_putting_again_replaces(catalog):
    catalog.put(ROW)
    catalog.put(replace(ROW, status="recovered", ended=1001.0))
    assert catalog.find(SessionFilter()) == [replace(ROW, status="recovered", ended=1001.0)]


def test_postgresql_holds_one_too():
    with Cluster(debian_bin(), tls=False) as cluster:
        url = f"postgresql+psycopg://postgres:{PASSWORD}@127.0.0.1:{cluster.port}/postgres"
        catalog = SqlCatalog(url)
        try:
            catalog.put(ROW)
            catalog.put(replace(ROW, status="sealed", requests=7))
            assert catalog.find(SessionFilter(user="alice")) == [replace(ROW, status="sealed", requests=7)]
        finally:
            catalog.close()


def test_find_narrows_by_user_target_and_live(catalog):
    bob = replace(ROW, id="0190-bb", user="bob", started=1001.0)
    web = replace(ROW, id="0190-cc", target="prod-web", started=1002.0, status="sealed", ended=1003.0)
    fill(catalog, ROW, bob, web)
    assert ids(catalog.find(SessionFilter())) == ["0190-cc", "0190-bb", "0190-aa"]
    assert ids(catalog.find(SessionFilter(user="alice"))) == ["0190-cc", "0190-aa"]
    assert ids(catalog.find(SessionFilter(user="Alice"))) == []
    assert ids(catalog.find(SessionFilter(target="prod-web"))) == ["0190-cc"]
    assert ids(catalog.find(SessionFilter(live=True))) == ["0190-bb", "0190-aa"]
    assert ids(catalog.find(SessionFilter(ids=("0190-aa", "none")))) == ["0190-aa"]


def test_since_finds_who_was_still_connected_then(catalog):
    over = replace(ROW, id="over", started=10.0, ended=50.0, status="sealed")
    long = replace(ROW, id="long", started=20.0, ended=500.0, status="sealed")
    open_ = replace(ROW, id="open", started=30.0)
    after = replace(ROW, id="after", started=200.0, ended=201.0, status="sealed")
    fill(catalog, over, long, open_, after)
    for narrowed in (SessionFilter(since=100.0), SessionFilter(since=100.0, user="alice")):
        assert ids(catalog.find(narrowed)) == ["after", "open", "long"]
        assert ids(catalog.find(replace(narrowed, limit=2))) == ["after", "open"]
    assert ids(catalog.find(SessionFilter(until=30.0))) == ["long", "over"]


def test_pages_follow_each_other_without_gap_or_repeat(catalog):
    # Three sessions a second, so that pages end between rows of the same time.
    rows = [replace(ROW, id=f"{n:03}", started=float(n // 3)) for n in range(20)]
    fill(catalog, *rows)
    seen, before = [], ""
    while page := catalog.find(SessionFilter(limit=3, before=before)):
        assert len(page) <= 3
        seen += ids(page)
        before = page[-1].id
    assert seen == [row.id for row in reversed(rows)]


def test_a_prefix_is_text_and_no_pattern(catalog):
    fill(catalog, ROW, replace(ROW, id="0190-ab"), replace(ROW, id="0191-aa"))
    assert ids(catalog.find(SessionFilter(prefix="0190"))) == ["0190-ab", "0190-aa"]
    assert ids(catalog.find(SessionFilter(prefix="0191-aa"))) == ["0191-aa"]
    assert ids(catalog.find(SessionFilter(prefix="%"))) == []
    assert ids(catalog.find(SessionFilter(prefix="0190'; DROP TABLE sessions; --"))) == []


WRITER = """
import sys
from recgate_catalog_sql.catalog import SqlCatalog
from recgate.providers import SessionRow
catalog = SqlCatalog(sys.argv[1])
for n in range(30):
    catalog.put(SessionRow(f"{sys.argv[2]}-{n}", "u", (), "t", "ssh", "", 1.0))
    catalog.put(SessionRow("shared", "u", (), "t", "ssh", "", 1.0, requests=n))
catalog.close()
"""


def test_several_processes_create_and_write_it_at_once(url):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, name]) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    catalog = SqlCatalog(url)
    assert len(catalog.find(SessionFilter(limit=1000))) == 91
    catalog.close()


def test_listings_walk_an_index(catalog):
    # A sort or a scan of a million rows per page would work in every other test here.
    with catalog._engine.connect() as connection:
        plans = []
        for where in ("", "WHERE user = 'a'", "WHERE target = 'a'", "WHERE status = 'live'"):
            sql = f"EXPLAIN QUERY PLAN SELECT * FROM sessions {where} ORDER BY started DESC, id DESC LIMIT 10"  # noqa: S608
            plans += [row.detail for row in connection.execute(sa.text(sql))]
    assert plans
    assert not [plan for plan in plans if "TEMP B-TREE" in plan or "USING" not in plan]


def test_a_catalog_of_another_release_is_refused(url):
    SqlCatalog(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE catalog_version SET version = 99"))
    engine.dispose()
    with pytest.raises(RecgateError, match="schema version 99, this release knows 2"):
        SqlCatalog(url)


def test_what_is_no_database_is_said_with_a_remedy(tmp_path):
    (tmp_path / "catalog.sqlite").write_bytes(b"not a database, and longer than a header" * 100)
    with pytest.raises(RecgateError, match=r"catalog\.sqlite.*not a database.*check that"):
        SqlCatalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")


def test_a_database_of_another_kind_is_refused():
    with pytest.raises(RecgateError, match="mysql cannot hold a catalog; use one of sqlite, postgresql"):
        SqlCatalog("mysql+pymysql://127.0.0.1/recgate")


def test_what_is_put_again_and_again_leaves_nothing_for_the_garbage_collector(catalog):
    """The sealing worker puts a session's row at each segment, and has megabytes of it on its stack then."""
    again = replace(ROW, status="live", ended=None)
    catalog.put(again)
    gc.collect()
    gc.disable()
    try:
        catalog.put(again)
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_preparing_again_changes_nothing(url):
    engine = sa.create_engine(url)
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE catalog_version SET version = version"))
    prepare(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version FROM catalog_version")).fetchall() == [(VERSION,)]
        assert connection.execute(sa.select(sa.func.count()).select_from(sessions)).scalar() == 0
    engine.dispose()


def test_a_catalog_of_the_release_before_gets_what_it_lacks(url):
    engine = sa.create_engine(url)
    prepare(engine)
    SqlCatalog(url).put(ROW)
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE sessions DROP COLUMN approved"))
        connection.execute(sa.text("UPDATE catalog_version SET version = 1"))
    prepare(engine)
    engine.dispose()
    made = SqlCatalog(url)
    assert made.get(ROW.id) == ROW
    made.put(replace(ROW, approved=("carol",)))
    found = made.get(ROW.id)
    made.close()
    assert found is not None
    assert found.approved == ("carol",)


def config(data_dir, word="sql") -> Any:
    """What the plugin reads of a configuration."""
    return SimpleNamespace(data_dir=data_dir, catalog=PluginEntry(word, plugin.CatalogSettings()))


def test_the_catalog_lies_in_the_data_directory_and_is_its_owners_alone(tmp_path):
    (made,) = plugin.recgate_stores(config(tmp_path / "data"))
    made.put(ROW)
    files = list((tmp_path / "data").iterdir())
    assert {file.name for file in files} >= {"catalog.sqlite"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    made.close()
    assert plugin.recgate_stores(config(tmp_path, word="other")) == []
    assert [(model.section, model.word) for model in plugin.recgate_settings()] == [("catalog", "sql")]


def test_a_place_that_cannot_be_is_said_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecgateError, match="set catalog: sql: file:"):
        plugin.recgate_stores(config(tmp_path / "file"))


def test_a_purged_session_is_forgotten_and_no_other(catalog):
    fill(catalog, ROW, replace(ROW, id="0190-bb"))
    catalog.purge(ROW.id)
    catalog.purge(ROW.id)
    assert catalog.get(ROW.id) is None
    assert ids(catalog.find(SessionFilter())) == ["0190-bb"]
