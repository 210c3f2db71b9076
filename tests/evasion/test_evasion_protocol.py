"""A forbidden verb is not let through by any message of the protocol, in any order, nor in another encoding."""

# ruff: noqa: E501, S608 - one attack a line, and injecting is what they are for

from __future__ import annotations

import pytest

from tests.evasion.house import Attack, House
from tests.evasion.test_evasion_verbs import check
from tests.evasion.wire import (
    bind,
    call,
    close,
    copy_data,
    copy_done,
    describe,
    execute,
    extended,
    flush,
    parse,
    query,
    sync,
)

DELETE = "delete from victim"
RUN = bind() + execute()

MESSAGES = [
    Attack("simple", query("truncate victim")),
    Attack("extended", extended("truncate victim")),
    Attack("extended in binary", extended("with d as (delete from victim returning id) select * from d", results=1)),
    Attack("a named statement", parse(DELETE, "s") + bind(name="s") + execute() + sync()),
    Attack("a named portal", parse(DELETE) + bind(portal="p") + execute("p") + sync()),
    Attack("prepared in an earlier pipeline", parse(DELETE, "s") + sync() + bind(name="s") + execute() + sync()),
    Attack("prepared and described only, then run", parse(DELETE, "s") + describe(b"S", "s") + sync() + bind(name="s") + execute() + sync()),
    Attack("run twice", parse(DELETE, "s") + sync() + (bind(name="s") + execute()) * 2 + sync()),
    Attack("bound before it is asked for", parse(DELETE) + bind(portal="p") + flush() + execute("p") + sync()),
    Attack("a name given twice", parse("select 1", "s") + close(b"S", "s") + parse(DELETE, "s") + bind(name="s") + execute() + sync()),
    Attack("the unnamed one over itself", parse("select 1") + bind() + parse(DELETE) + bind() + execute() + sync()),
    Attack("behind harmless ones", (parse("select 1") + RUN) * 5 + parse(DELETE) + RUN + sync()),
    Attack("before harmless ones", parse(DELETE) + RUN + (parse("select 1") + RUN) * 5 + sync()),
    Attack("behind one that fails", parse("select 1/0") + RUN + sync() + parse(DELETE) + RUN + sync()),
    Attack("without a Sync, then a query", parse(DELETE) + RUN + query("select 1")),
    Attack("with a row limit", parse("with d as (delete from victim returning 1) select * from d") + bind() + execute(rows=1) + execute() + sync()),
    Attack("with a parameter", extended("delete from victim where $1 or true", b"t")),
    Attack("EXECUTE of what the protocol prepared", parse(DELETE, "s") + sync() + query("execute s")),
    Attack("EXECUTE in capitals", parse(DELETE, "S x") + sync() + query('execute "S x"')),
    Attack("EXECUTE in an EXPLAIN", parse(DELETE, "s") + sync() + query("explain (analyze) execute s")),
    Attack("EXECUTE into a table", parse("select nuke()", "s") + sync() + query("create table made as execute s")),
    Attack("bound to what SQL prepared", query("prepare s as delete from victim") + bind(name="s") + execute() + sync()),
    Attack("prepared and renewed by DISCARD", query("prepare s as select 1") + query("discard all") + query("prepare s as delete from victim") + query("execute s")),
    Attack("prepared and deallocated", query("prepare s as select 1") + query("deallocate s") + parse(DELETE, "s") + sync() + query("execute s")),
    Attack("a cursor of SQL by the protocol", query("begin") + query("declare c cursor for select nuke()") + execute("c") + sync() + query("commit")),
    Attack("FETCH from a portal", query("begin") + parse("select nuke()") + bind(portal="c") + flush() + parse("fetch all from c") + RUN + sync() + query("commit")),
    Attack("MOVE in a cursor", query("begin") + query("declare c cursor for select nuke() from generate_series(1, 3)") + query("move all in c") + query("commit")),
    Attack("a cursor that is held", query("begin") + query("declare c cursor with hold for select sqlnuke()") + query("commit")),
    Attack("the fast path", lambda oid: [call(oid("nuke"))]),
    Attack("the fast path to their runner", lambda oid: [call(oid("run"), b"truncate victim")]),
    Attack("the fast path to xml of a query", lambda oid: [call(oid("query_to_xml"), b"select nuke()", b"t", b"t", b"")]),
    Attack("the fast path in a transaction", lambda oid: [query("begin"), call(oid("sqlnuke")), query("commit")]),
    Attack("behind COPY FROM STDIN", query("copy spare from stdin") + copy_data(b"1\t1\n") + copy_done() + query("truncate victim")),
    Attack("behind COPY in one text", query("copy spare from stdin; truncate victim") + copy_data(b"1\t1\n") + copy_done()),
    Attack("in a transaction", query("begin") + query(DELETE) + query("commit")),
    Attack("in a transaction that failed before", query("begin") + query("select 1/0") + query("rollback") + query(DELETE)),
    Attack("in a savepoint", query("begin; savepoint a") + query("select 1/0") + query("rollback to a") + query(DELETE) + query("commit")),
    Attack("many texts in one read", query("select 1") * 40 + query(DELETE) + query("select 1") * 40),
    Attack("behind a long text", query("select '" + "x" * 200_000 + "'") + query(DELETE)),
    Attack("in a long text", query("select '" + "x" * 200_000 + "'; " + DELETE)),
    Attack("behind many parameters", extended("delete from victim where " + " or ".join(f"${n} = 1" for n in range(1, 300)) + " or true", *[b"1"] * 299)),
]  # fmt: skip

STRINGS = [
    Attack("strings without the standard", query("set standard_conforming_strings = off") + query(r"select '\', '; truncate victim; --'")),
    Attack("strings without the standard, pipelined", parse("set standard_conforming_strings = off") + RUN + sync() + parse(r"select '\', ' || nuke() --'") + RUN + sync()),
    Attack("strings without the standard in one text", query(r"set standard_conforming_strings = off") + query(r"select '\'' ; delete from victim; select '\''")),
    Attack("strings with the standard again", query("set standard_conforming_strings = off") + query("reset all") + query(r"select '\'; truncate victim; --'")),
    Attack("strings by set_config", query("select set_config('standard_conforming_strings', 'off', false)") + query(r"select '\', '; truncate victim; --'")),
    Attack("strings by a role", query("alter role scram_user set standard_conforming_strings = off") + query("truncate victim") + query("alter role scram_user reset all")),
]  # fmt: skip

# Two bytes of which the second looks like a backslash, or an apostrophe, in ASCII.
HALVES = [
    ("SJIS", b"\x95\x5c"),
    ("BIG5", b"\xa5\x5c"),
    ("GBK", b"\xbf\x5c"),
    ("UHC", b"\x8f\x41"),
    ("GB18030", b"\x81\x5c"),
]
ENCODINGS = [
    *(Attack(f"{name} at the log-in", query(b"select '" + half + b"'; truncate victim; --'"), name) for name, half in HALVES),
    *(
        Attack(f"{name} on the way", query(f"set client_encoding = '{name}'") + query(b"select e'" + half + b"'; truncate victim; --'"))
        for name, half in HALVES
    ),
    *(
        Attack(f"{name} by set_config", query(f"select set_config('client_encoding', '{name}', false)") + query(b"select '" + half + b"' as x; truncate victim"))
        for name, half in HALVES
    ),
    Attack("Latin 1", query("set client_encoding = 'LATIN1'") + query(b"select '\xe4'; truncate victim")),
    Attack("Latin 1 at the log-in", query(b"select '\xe4\\'; truncate victim; --'"), "LATIN1"),
    Attack("Windows 1252", query("set names 'WIN1252'") + query(b"select '\x80' as \"\xe4\"; truncate victim")),
    Attack("EUC_JP", query("set names 'EUC_JP'") + query(b"select '\xa4\xa2'; truncate victim")),
    Attack("names beyond ASCII", query('select 1 as "ä"; truncate victim')),
    Attack("a space that is none", query("select 1 as \u00a0x; truncate victim")),
    Attack("right to left", query("select '\u202e'; truncate victim; select '\u202c'")),
    Attack("a letter that folds to ASCII", query("select 1 as \u212a; truncate victim")),
]  # fmt: skip


@pytest.mark.parametrize("attack", MESSAGES, ids=str)
def test_every_message_that_runs_something_is_looked_at(house: House, attack: Attack) -> None:
    check(house, attack)


@pytest.mark.parametrize("attack", STRINGS, ids=str)
def test_strings_that_end_elsewhere_hide_nothing(house: House, attack: Attack) -> None:
    check(house, attack)


@pytest.mark.parametrize("attack", ENCODINGS, ids=str)
def test_encodings_hide_nothing(house: House, attack: Attack) -> None:
    check(house, attack)


@pytest.mark.parametrize("half", ["truncate victim\0", "select 1\0; truncate victim", "\0truncate victim"])
def test_a_text_with_a_zero_in_it_reaches_nothing(house: House, half: str) -> None:
    """The server stops at the zero; whoever read on, or stopped elsewhere, would read another text than it runs."""
    _, left = house.attempt(Attack("zero", query(half)))

    assert left == house.intact


def test_what_was_committed_in_a_refused_pipeline_is_nothing(house: House) -> None:
    """Parse, Bind and Execute of something allowed, then something refused, and one Sync: PostgreSQL rolls it all back."""
    with house.through("verbs", "verbs") as client:
        heard = client.say(parse("insert into spare values (7, 7)") + RUN + parse(DELETE) + RUN + sync())
        after = client.say(query("select count(*) from spare where id = 7"))

    assert any("no-unbounded" in error for error in heard.errors)
    assert after.rows == [[b"0"]]
    assert house.state("verbs") == house.intact
