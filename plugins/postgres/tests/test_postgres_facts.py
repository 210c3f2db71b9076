"""What statements do, to what: parsed by the server's own parser, and never a reason to fail."""

from __future__ import annotations

import pytest

from recgate_postgres.facts import MAX_CACHED, Facts, FactsCache, facts_of, pieces_of


@pytest.mark.parametrize(
    ("text", "verbs", "objects", "tables"),
    [
        ("select 1", ("SELECT",), (), ()),
        ("SELECT * FROM a.b JOIN c USING (x)", ("SELECT",), (), ("a.b", "c")),
        ("drop database shop", ("DROP",), ("database shop",), ()),
        ("DROP TABLE s.t, u CASCADE", ("DROP",), ("table s.t", "table u"), ("s.t", "u")),
        ("drop role a, b", ("DROP",), ("role a", "role b"), ()),
        ("truncate a, b", ("TRUNCATE",), ("table a", "table b"), ("a", "b")),
        ("begin; update a set b = 1; commit", ("BEGIN", "UPDATE", "COMMIT"), (), ("a",)),
        ("with x as (delete from c returning *) select * from x", ("SELECT", "DELETE"), (), ("c",)),
        ("explain analyze delete from q", ("EXPLAIN", "DELETE"), (), ("q",)),
        ("prepare p as update q set a = 1", ("PREPARE", "UPDATE"), (), ("q",)),
        ("declare c cursor for select * from z", ("DECLARE", "SELECT"), (), ("z",)),
        ("copy t from stdin", ("COPY",), (), ("t",)),
        ("create table n as select * from o", ("CREATE", "SELECT"), ("table n",), ("n", "o")),
        ("create index i on t (a)", ("CREATE",), ("index i",), ("t",)),
        ("alter table t rename to u", ("ALTER",), ("table t",), ("t",)),
        ("grant select on t to bob", ("GRANT",), ("table t",), ("t",)),
        ("revoke admins from bob", ("REVOKE",), ("role admins",), ()),
        ("alter system set work_mem = '1GB'", ("ALTER",), ("system",), ()),
        ("create function f() returns int language sql as 'select 1'", ("CREATE",), ("function f",), ()),
        ("set role bob", ("SET",), (), ()),
        ("reset all", ("RESET",), (), ()),
        ("vacuum t", ("VACUUM",), (), ("t",)),
        ("analyze t", ("ANALYZE",), (), ("t",)),
        ("move all from c", ("MOVE",), (), ()),
        ("do $$ begin end $$", ("DO",), (), ()),
        ("", (), (), ()),
        ("  -- nothing\n", (), (), ()),
    ],
)
def test_facts(text, verbs, objects, tables):
    facts = facts_of(text)
    assert (facts.verbs, facts.objects, set(facts.tables)) == (verbs, objects, set(tables))
    assert facts.parsed


@pytest.mark.parametrize(
    ("text", "verbs", "tables"),
    [
        ("selec 1", ("SELEC",), ()),
        ('/* hint */ insert into "Big".t values (', ("INSERT",), ("Big.t",)),
        ("?", (), ()),
        ("\ud800", (), ()),
        ("drop \0", ("DROP",), ()),
    ],
)
def test_what_does_not_parse_has_what_its_first_words_say(text, verbs, tables):
    facts = facts_of(text)
    assert (facts.verbs, facts.tables, facts.parsed) == (verbs, tables, False)


@pytest.mark.parametrize(
    "text",
    [
        "select " + "+".join(["1"] * 200_000),  # crashes the parser's process if it is let in
        "select " + "(" * 100_000,
        "select " + "not " * 16_000 + "true",
        "select 1" + " union select 1" * 4_000,
        "select " + "array[" * 3_000,
        "insert into t values " + ",".join(["('2024-01-01')"] * 5_000),  # noqa: S608
    ],
    ids=["plus", "parentheses", "not", "union", "array", "rows"],
)
def test_threat_32_deep_statements_are_known_by_their_first_word(text):
    assert facts_of(text).verbs in (("SELECT",), ("INSERT",))


@pytest.mark.parametrize(
    "text", [" " * 60_000 + "?", "/*" * 30_000, "--" * 30_000, ";" * 60_000 + "?", "/**/" * 15_000 + "?"]
)
def test_threat_32_finding_the_first_word_takes_one_pass(text):
    assert facts_of(text).verbs == ()


def test_terms_are_in_lower_case_with_and_without_a_schema():
    terms = facts_of('DROP TABLE Sales."Orders"').searchable().search
    assert terms == (
        ("verb", "drop"), ("object", "table"), ("object", "sales.orders"), ("object", "orders"),
        ("table", "sales.orders"), ("table", "orders"),
    )  # fmt: skip


def test_columns_are_searchable():
    assert ("column", "email") in facts_of("select c.email from customers c").searchable().search


def test_numbers_make_no_new_entry_and_names_do():
    cache = FactsCache()
    assert cache.get("select * from t where a = 1") is cache.get("select * from t where a = 234")
    assert cache.get('select * from "1"').tables == ("1",)
    assert cache.get('select * from "2"').tables == ("2",)


def test_the_cache_is_bounded():
    cache = FactsCache()
    for number in range(MAX_CACHED + 10):
        cache.get(f"select a{number}")
    assert len(cache._known) <= MAX_CACHED


def test_facts_are_values():
    assert Facts() == Facts()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("select 1", ["select 1"]),
        ("select 1;  ", ["select 1;  "]),
        ("select 'ü;'; drop table t ;select 3", ["select 'ü;'", "drop table t", "select 3"]),
        ("selec 1; select 2", ["selec 1; select 2"]),
        ("select ';'", ["select ';'"]),
    ],
)
def test_pieces(text, pieces):
    assert pieces_of(text) == pieces
