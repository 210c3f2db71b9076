"""The index against real SQLite FTS5: what is added is found, exactly, whatever the person typed."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recgate.config import PluginEntry
from recgate.errors import RecgateError
from recgate.providers import SearchQuery, SessionRow
from recgate.transcript.entries import Entry
from recgate_search_fts5 import plugin
from recgate_search_fts5.finding import SESSION_FACTS
from recgate_search_fts5.index import FtsIndex
from recgate_search_fts5.packing import pack_entries, unpack
from recgate_search_fts5.pattern import compile_pattern
from recgate_search_fts5.schema import TOKENIZER
from recgate_search_fts5.tokens import Probe, Words

ALICE = SessionRow("01AAA", "alice", ("dba",), "prod-db", "postgres", "10.0.0.7:40112", started=1000.0)
BOB = replace(ALICE, id="01BBB", user="bob", target="prod-web", protocol="ssh", started=2000.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "search.sqlite"


@pytest.fixture
def index(path):
    made = FtsIndex(path)
    yield made
    made.close()


def sql(n, text, *terms, t=0, part=0):
    return Entry(n, t, 0, 0, "sql", text=text, terms=terms, part=part)


def texts(index, **query):
    return [hit.text for hit in index.find(SearchQuery(**query))]


def test_words_are_found_in_any_order_and_case(index):
    index.add(ALICE, [sql(1, "DROP DATABASE customers"), sql(2, "SELECT 'drop' FROM customer_ids")])
    assert texts(index, terms=("database", "drop")) == ["DROP DATABASE customers"]
    assert texts(index, terms=("drop",)) == ["DROP DATABASE customers", "SELECT 'drop' FROM customer_ids"]
    assert texts(index, terms=("customer_ids",)) == ["SELECT 'drop' FROM customer_ids"]
    assert texts(index, terms=("custom*",)) == ["DROP DATABASE customers", "SELECT 'drop' FROM customer_ids"]
    assert texts(index, terms=("custom",)) == []


def test_a_phrase_keeps_its_order(index):
    index.add(ALICE, [sql(1, "DROP the old DATABASE"), sql(2, "drop   database x")])
    assert texts(index, phrases=("drop database",)) == ["drop   database x"]
    assert texts(index, phrases=("database drop",)) == []


def test_a_hit_says_who_where_and_when(index):
    index.add(ALICE, [sql(41, "TRUNCATE audit", t=2_500_000)])
    (hit,) = index.find(SearchQuery(terms=("truncate",)))
    assert (hit.session, hit.entry, hit.t, hit.user, hit.target, hit.kind) == (
        "01AAA",
        41,
        2_500_000,
        "alice",
        "prod-db",
        "sql",
    )


def test_fields_narrow(index):
    index.add(
        ALICE,
        [sql(1, "drop database a", ("verb", "drop"), ("object", "database"), ("table", "shop.public.A"))],
    )
    index.add(BOB, [Entry(1, 0, 0, 0, "file", text="put dump.sql", terms=(("file", "/var/tmp/dump.sql"),))])
    for fields, count in (
        ([("verb", "DROP"), ("object", "database")], 1),
        ([("verb", "drop"), ("object", "table")], 0),
        ([("table", "a")], 1),
        ([("table", "public.a")], 1),
        ([("table", "lic.a")], 0),
        ([("table", "*a")], 1),
        ([("file", "dump.sql")], 1),
        ([("file", "/var/*.sql")], 1),
        ([("file", "/var/tmp")], 0),
        ([("user", "Alice"), ("verb", "*")], 1),
        ([("user", "ali%")], 0),
        ([("group", "dba")], 2),
        ([("target", "prod-*")], 2),
        ([("protocol", "ssh")], 1),
        ([("source", "10.0.0.7")], 2),
        ([("kind", "file")], 1),
        ([("session", "01bbb")], 1),
        ([("secret", "*")], 0),
    ):
        assert len(texts(index, fields=tuple(fields))) == count, fields


def test_newest_session_first_then_in_the_order_of_entries(index):
    # Three shapes interleaved: three packs, whose entries must come out merged.
    entries = [
        sql(n, ("SELECT {}", "UPDATE t SET a = {}", "DELETE FROM t WHERE b = {}")[n % 3].format(n))
        for n in range(30)
    ]
    index.add(ALICE, entries)
    index.add(ALICE, [sql(40, "SELECT 40"), sql(31, "SELECT 31")])
    index.add(BOB, [sql(5, "ls"), sql(4, "SELECT 4")])
    hits = list(index.find(SearchQuery(limit=1000)))
    assert [hit.entry for hit in hits] == [4, 5, *range(30), 31, 40]
    assert [hit.text for hit in hits[2:32]] == [entry.text for entry in entries]
    assert [hit.entry for hit in index.find(SearchQuery(limit=3))] == [4, 5, 0]


def test_every_statement_of_a_benchmark_is_found_and_few_rows_are_written(index):
    select = "SELECT abalance FROM pgbench_accounts WHERE aid = {};"
    index.add(ALICE, [sql(n, select.format(100_000 + n * 7), t=n) for n in range(5000)])
    (rows,) = index._writer.execute("SELECT count(*) FROM pack").fetchone()
    assert rows == 1
    (hit,) = index.find(SearchQuery(terms=("accounts", "100693")))
    assert (hit.entry, hit.text) == (99, select.format(100_693))
    assert texts(index, phrases=("aid = 100700",)) == [select.format(100_700)]
    # Both numbers are in the pack, and in no statement together.
    assert texts(index, terms=("100693", "100700")) == []
    assert texts(index, regex=r"= 1006[89]3;") == [select.format(100_693)]


def test_adding_again_replaces(index):
    first = [sql(n, f"SELECT {n}", ("verb", "select")) for n in range(10)]
    index.add(ALICE, first)
    index.add(
        ALICE, [sql(3, "DROP TABLE t", ("verb", "drop")), sql(9, "SELECT 9", ("verb", "select"), part=1)]
    )
    index.add(ALICE, first[5:])
    assert [hit.entry for hit in index.find(SearchQuery())] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    assert [hit.part for hit in index.find(SearchQuery())] == [0] * 10 + [1]
    assert texts(index, fields=(("verb", "drop"),)) == ["DROP TABLE t"]
    assert texts(index, terms=("3",)) == []
    assert texts(index, terms=("4",), fields=(("verb", "select"),)) == ["SELECT 4"]
    index._writer.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)")


def test_since_and_until_look_at_the_entry(index):
    index.add(ALICE, [sql(n, f"SELECT {n}", t=n * 1_000_000) for n in range(5)])
    assert texts(index, since=1002.0, until=1004.0) == ["SELECT 2", "SELECT 3"]
    assert texts(index, until=1000.0) == []


def test_a_pattern_is_matched_in_linear_time(index):
    index.add(ALICE, [sql(1, "a" * 50_000), sql(2, "DROP  TABLE x")])
    begun = time.monotonic()
    assert texts(index, regex=r"(a+)+$b") == []
    assert texts(index, regex=r"(?i)drop\s+table") == ["DROP  TABLE x"]
    assert time.monotonic() - begun < 10  # re takes longer than the universe
    with pytest.raises(RecgateError, match="no back-references"):
        texts(index, regex=r"(a)\1")


def test_a_pattern_is_one_or_is_refused():
    assert compile_pattern("a.c")("xabcx")
    assert not compile_pattern("^a")("ba")
    for wrong in ("(", "(?=a)", "\\1", "a{2000}", "[z-a]"):
        with pytest.raises(RecgateError, match="is no pattern"):
            compile_pattern(wrong)


def test_words_become_a_query_and_its_exact_form():
    probe = Probe()
    words = Words(["customer_id", "dr*", "--"], ["drop table"], probe)
    assert words.wanted == '"customer" AND "id" AND "dr" * AND "drop" AND "table"'
    assert words.exact == '"customer_id" AND "dr*" * AND "drop table"'
    assert (words.symbols, words.needs_probe) == (["--"], True)
    texts = ["drop table x where customer_id = 1", "table drop customer_id", "drop table customer x id"]
    assert probe.matching(texts, words.exact) == {0}
    assert probe.tokens("Élan vital") == ["elan", "vital"]
    assert not Words(["one", "two"], [], probe).needs_probe
    probe.close()


def test_every_fact_of_a_session_can_be_searched(index):
    index.add(ALICE, [sql(1, "SELECT 1")])
    values = {"session": "01AAA", "user": "alice", "group": "dba", "target": "prod-db"}
    values |= {"protocol": "postgres", "source": "10.0.0.7:40112"}
    assert set(values) == SESSION_FACTS
    for field in values.items():
        assert texts(index, fields=(field,)) == ["SELECT 1"]


def test_a_search_through_too_much_text_says_so(index, monkeypatch):
    monkeypatch.setattr("recgate_search_fts5.finding.MAX_LOOKED_AT", 100)
    index.add(ALICE, [sql(n, "SELECT " + "x" * 20 + chr(65 + n)) for n in range(20)])
    found = index.find(SearchQuery(regex="x[ACT]$"))
    assert next(found).entry == 0
    with pytest.raises(RecgateError, match="narrow the search"):
        list(found)


def test_symbols_alone_are_found_as_text(index):
    index.add(ALICE, [sql(1, "SELECT 1 -- hidden"), sql(2, "SELECT 2")])
    assert texts(index, terms=("--",)) == ["SELECT 1 -- hidden"]
    assert texts(index, terms=("--", "select")) == ["SELECT 1 -- hidden"]
    assert texts(index, terms=("%",)) == []


HOSTILE = [
    '"',
    '""',
    "a OR b",
    "NEAR(a b)",
    "head:x",
    "-a",
    "a*",
    "*",
    "^a",
    "{a}",
    "a AND",
    "(",
    "a\0b",
    "+",
    "\ud800",
    "'",
]


@pytest.mark.parametrize("typed", HOSTILE)
def test_what_a_person_types_is_never_syntax(index, typed):
    index.add(ALICE, [sql(1, "nothing of that kind")])
    assert texts(index, terms=(typed,)) == []
    assert texts(index, phrases=(typed,)) == []
    assert texts(index, fields=(("user", typed),)) == (
        ["nothing of that kind"] if typed in ("a*", "*") else []
    )


TYPED = st.text(alphabet="ab12 .'_-*é\u0301\ue000\"", max_size=12)


def test_packs_find_what_a_plain_full_text_index_finds(path):
    index = FtsIndex(path)
    plain = sqlite3.connect(":memory:")
    plain.execute(f"""CREATE VIRTUAL TABLE plain USING fts5(text, tokenize="{TOKENIZER}")""")

    @given(st.lists(TYPED, min_size=1, max_size=8), TYPED, st.booleans())
    @settings(max_examples=150)
    def agree(stored, typed, is_phrase):
        assume(any(letter.isalnum() for letter in typed))
        index.purge(ALICE.id)
        plain.execute("DELETE FROM plain")
        index.add(ALICE, [sql(n, text) for n, text in enumerate(stored)])
        plain.executemany("INSERT INTO plain(rowid, text) VALUES(?, ?)", enumerate(stored))
        prefix = "*" if typed.endswith("*") and not is_phrase else ""
        match = '"' + typed.replace('"', '""') + '"' + prefix
        expected = [
            n for (n,) in plain.execute("SELECT rowid FROM plain WHERE plain MATCH ? ORDER BY 1", (match,))
        ]
        query = SearchQuery(phrases=(typed,)) if is_phrase else SearchQuery(terms=(typed,))
        assert [hit.entry for hit in index.find(query)] == expected

    agree()
    plain.close()
    index._purged = False
    index.close()


@given(st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_a_pack_gives_every_text_back(stored):
    entries = [sql(n, text) for n, text in enumerate(stored)]
    restored = {}
    for pack in pack_entries(entries):
        again = unpack("sql", (), pack.dump())
        restored |= {member.n: again.text(member) for member in again.members}
    assert restored == {n: text.encode("utf-8", "replace").decode() for n, text in enumerate(stored)}


WRITER = """
import sys
from pathlib import Path
from recgate_search_fts5.index import FtsIndex
from recgate.providers import SessionRow
from recgate.transcript.entries import Entry
index = FtsIndex(Path(sys.argv[1]))
row = SessionRow(sys.argv[2], "u", (), "t", "ssh", "", 1.0)
for n in range(20):
    index.add(row, [Entry(n, 0, 0, 0, "shell", text=f"echo {n}")])
index.close()
"""


def test_several_processes_create_and_write_it_at_once(path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    index = FtsIndex(path)
    assert len(texts(index, terms=("echo",))) == 60
    index.close()


def test_a_purged_session_leaves_no_word_behind(index, path):
    index.add(ALICE, [sql(1, "SELECT xyzzyplugh", ("table", "secretly"))])
    index.add(BOB, [sql(1, "SELECT other")])
    index.purge("01AAA")
    index.purge("01AAA")
    assert texts(index) == ["SELECT other"]
    assert texts(index, terms=("xyzzyplugh",)) == []
    index.close()
    assert b"xyzzyplugh" not in path.read_bytes()
    assert b"secretly" not in path.read_bytes()


def test_a_session_may_be_purged_while_a_search_reads_it(index):
    index.add(ALICE, [sql(n, chr(65 + n) * 3) for n in range(5)])
    found = index.find(SearchQuery())
    assert next(found).entry == 0
    index.purge("01AAA")
    assert len(list(found)) <= 4


def test_what_is_no_index_is_said_with_a_remedy(path):
    path.write_bytes(b"not a database, and longer than a header" * 100)
    with pytest.raises(RecgateError, match=r"search\.sqlite.*move it away"):
        FtsIndex(path)


def config(data_dir, word="fts5") -> Any:
    """What the plugin reads of a configuration."""
    return SimpleNamespace(data_dir=data_dir, search=PluginEntry(word, plugin.SearchSettings()))


def test_the_index_lies_in_the_data_directory_and_is_its_owners_alone(tmp_path):
    (made,) = plugin.recgate_stores(config(tmp_path / "data"))
    made.add(ALICE, [sql(1, "SELECT 1")])
    files = list((tmp_path / "data").iterdir())
    assert {file.name for file in files} >= {"search.sqlite"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    made.close()
    assert plugin.recgate_stores(config(tmp_path, word="other")) == []
    assert [(model.section, model.word) for model in plugin.recgate_settings()] == [("search", "fts5")]


def test_a_place_that_cannot_be_is_said_with_a_remedy(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecgateError, match="set search: fts5: file:"):
        plugin.recgate_stores(config(tmp_path / "file"))
