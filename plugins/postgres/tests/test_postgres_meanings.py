"""What requests of a connection do: names that mean something, and texts that the target may read otherwise."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from plugins.postgres.tests.acting import said
from plugins.postgres.tests.talk import (
    BOUND,
    IN_BLOCK,
    PARSED,
    READY,
    SYNC,
    Talk,
    ask,
    bind,
    done,
    execute,
    parameter,
    parse,
)
from recgate.decisions import Decision
from recgate.errors import AccessDenied
from recgate.policy import acts_of
from recgate.sansio.frames import CLIENT, Frame, Request
from recgate_postgres.meanings import MAX_SPOKEN, MAX_UNREAD
from recgate_postgres.messages import message, query

DELETE = "DELETE | table t | t: t | no where"
OPAQUE = "opaque"
REPORTED = {
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "server_version": "18.0",
}


class Judged(Talk):
    """A session whose every request is asked what it does, as a policy would at once."""

    def __init__(self, **reported: str) -> None:
        self.acts: list[list[str]] = []
        self.deny: Callable[[Request], Decision | None] = lambda request: None
        self.asks = True
        super().__init__()
        self.server(b"".join(parameter(*each) for each in {**REPORTED, **reported}.items()))

    def kinds(self, frame: Frame) -> str:
        assert frame.request is not None
        if self.asks:
            try:
                self.acts.append([said(act) for act in acts_of(frame.request)])
            except AccessDenied as exc:
                self.acts.append([f"denied: {exc}"])
        return super().kinds(frame)

    def prepared(self, name: str, text: str | bytes) -> None:
        told = parse(name, "") if isinstance(text, bytes) else parse(name, text)
        if isinstance(text, bytes):
            told = message(b"P", name.encode() + b"\0" + text + b"\0\0\0")
        self.client(told + SYNC)
        self.server(PARSED + READY)

    def ran(self, name: str) -> list[str]:
        """Bind and execute it, and give its acts."""
        self.client(bind("", name) + execute() + SYNC)
        self.server(BOUND + done("SELECT 1") + READY)
        return self.acts[-1]

    def asked_for(self, text: str | bytes) -> list[str]:
        """Send a Query, and give its acts."""
        self.client(query(text if isinstance(text, bytes) else text.encode()))
        found = self.acts[-1]
        self.server(done("SELECT 1") + READY)
        return found


def test_a_query():
    talk = Judged()
    assert talk.asked_for("delete from t") == [DELETE]
    assert talk.asked_for("select 1; delete from t") == ["SELECT", DELETE]


def test_an_execute_of_what_was_parsed_is_judged_each_time():
    talk = Judged()
    talk.prepared("a", "delete from t")
    assert talk.acts == []
    assert [talk.ran("a"), talk.ran("a")] == [[DELETE], [DELETE]]


def test_a_bind_without_an_execute_is_judged_too():
    talk = Judged()
    talk.prepared("a", "delete from t")
    talk.client(bind("", "a") + SYNC)
    assert talk.acts == [[DELETE]]


def test_acts_are_no_key_but_are_found():
    talk = Judged()
    talk.asked_for("select 1")
    assert "acts" not in dict(talk.details[0])
    assert "acts" not in list(talk.details[0])


def test_a_function_call():
    talk = Judged()
    talk.client(message(b"F", (957).to_bytes(4) + b"\0" * 6))
    talk.client(message(b"F", (764).to_bytes(4) + b"\0" * 6))
    talk.client(message(b"F", (99_999).to_bytes(4) + b"\0" * 6))
    assert talk.acts == [
        ["CALL | f: lo_creat"],
        ["CALL | f: lo_import", "READ (file) | file | f: lo_import | opaque"],
        ["CALL | opaque"],
    ]


# -- names ---------------------------------------------------------------------------------------------------------


def test_execute_runs_what_sql_prepared():
    talk = Judged()
    talk.asked_for("prepare q as delete from t")
    assert talk.asked_for("execute q") == ["EXECUTE | statement q", DELETE]
    talk.prepared("p", "execute q")
    assert talk.ran("p") == ["EXECUTE | statement q", DELETE]
    assert talk.ran("q") == ["EXECUTE | statement q", DELETE], "bound by its name"


def test_execute_runs_what_the_protocol_prepared():
    talk = Judged()
    talk.prepared("q", "delete from t")
    assert talk.asked_for("execute q") == ["EXECUTE | statement q", DELETE]


def test_execute_of_what_nobody_prepared_is_opaque():
    talk = Judged()
    assert talk.asked_for("execute q") == ["EXECUTE | statement q", OPAQUE]
    assert talk.ran("q") == ["EXECUTE | statement q", OPAQUE]


def test_a_name_prepared_twice_means_both():
    talk = Judged()
    talk.asked_for("prepare q as select 1")
    talk.asked_for("deallocate q; prepare q as delete from t")
    assert talk.asked_for("execute q") == ["EXECUTE | statement q", "SELECT", DELETE]


def test_a_name_of_the_protocol_that_sql_redefines_means_both():
    talk = Judged()
    talk.prepared("q", "select 1")
    assert talk.ran("q") == ["SELECT"]
    talk.asked_for("deallocate q; prepare q as delete from t")
    assert set(talk.ran("q")) >= {"SELECT", DELETE}
    assert set(talk.asked_for("execute q")) >= {"SELECT", DELETE}


def test_a_name_is_not_known_while_a_text_that_may_give_it_was_not_read():
    talk = Judged()
    talk.asked_for("prepare q as select 1")
    talk.asks = False
    talk.client(ask("deallocate q; prepare q as delete from t"))
    talk.server(done("PREPARE") + READY)
    talk.asks = True
    assert talk.asked_for("execute q") == ["EXECUTE | statement q", "SELECT", OPAQUE]
    talk.asked_for("deallocate q; prepare q as delete from t")
    assert talk.asked_for("execute q") == ["EXECUTE | statement q", "SELECT", DELETE]


def test_a_text_that_only_speaks_of_preparing_leaves_names_known():
    talk = Judged()
    for _ in range(2):
        talk.asked_for("select 'prepare'")
    talk.asked_for("prepare q as delete from t")
    assert talk.asked_for("execute q") == ["EXECUTE | statement q", DELETE]


def test_a_text_in_another_word_is_nothing_else():
    talk = Judged()
    talk.prepared("a", "select 1 --")
    talk.asked_for("deallocate a; prepare a as delete from t")
    assert DELETE in talk.ran("a"), "texts that one name may mean are read each by itself"


def test_fetch_gives_what_the_cursor_was_declared_for():
    talk = Judged()
    talk.asked_for("declare c cursor for select * from customers")
    expected = ["FETCH | cursor c", "SELECT | t: customers | r: customers.* | no where | no limit"]
    assert talk.asked_for("fetch 10 from c") == expected
    talk.client(execute("c") + SYNC)
    assert talk.acts[-1] == expected
    assert talk.asked_for("fetch d") == ["FETCH | cursor d", OPAQUE]
    assert talk.asked_for("move c")[0] == "MOVE | cursor c"


def test_fetch_from_a_portal_of_the_protocol():
    talk = Judged()
    talk.prepared("a", "select * from t")
    talk.client(bind("p", "a") + execute("p", 1) + SYNC)
    talk.server(BOUND + b"s\0\0\0\4" + IN_BLOCK)
    assert talk.asked_for("fetch from p") == [
        "FETCH | cursor p",
        "SELECT | t: t | r: t.* | no where | no limit",
    ]


def test_more_names_than_are_kept_leave_none():
    talk = Judged()
    talk.asked_for("prepare q as select 1")
    for first in range(0, MAX_SPOKEN, 200):
        talk.asked_for(";".join(f"prepare q{n} as select 1" for n in range(first, first + 200)))
    assert talk.asked_for("execute q")[-1] == OPAQUE


def test_more_unread_texts_than_are_counted_leave_none():
    talk = Judged()
    talk.asks = False
    for number in range(MAX_UNREAD + 1):
        talk.client(ask(f"prepare p{number} as select 1"))
        talk.server(done("PREPARE") + READY)
    talk.asks = True
    talk.asked_for("prepare q as select 1")
    assert talk.asked_for("execute q")[-1] == OPAQUE


# -- how a text is read ----------------------------------------------------------------------------------------------

SPLIT = "select '\\'; delete from t; --'"


def test_a_backslash_is_a_backslash_only_where_the_target_says_so():
    talk = Judged()
    assert talk.asked_for(SPLIT) == ["SELECT", DELETE]
    assert talk.asked_for("set standard_conforming_strings = off")[0].startswith("SET")
    talk.server(parameter("standard_conforming_strings", "off"))
    assert talk.asked_for(SPLIT) == [OPAQUE]
    assert talk.asked_for("select 1") == ["SELECT"]
    talk.prepared("a", SPLIT)
    assert talk.ran("a") == [OPAQUE]
    talk.server(parameter("standard_conforming_strings", "on"))
    assert talk.ran("a") == [OPAQUE], "it was parsed while they were off"
    assert talk.asked_for(SPLIT) == ["SELECT", DELETE]


def test_what_is_under_way_may_change_how_the_next_text_is_read():
    talk = Judged()
    talk.client(ask("set standard_conforming_strings = off") + ask(SPLIT))
    assert talk.acts[-1] == [OPAQUE]


def test_what_runs_earlier_in_a_series_may_change_how_a_text_is_read():
    talk = Judged()
    talk.prepared("off", "set standard_conforming_strings = off")
    talk.client(bind("", "off") + execute() + parse("", SPLIT) + bind() + execute() + SYNC)
    assert talk.acts[-1] == [OPAQUE]
    talk = Judged()
    talk.client(parse("", SPLIT) + bind() + execute() + SYNC)
    assert talk.acts[-1] == ["SELECT", DELETE]


def test_what_is_parsed_behind_an_unanswered_query_may_be_read_otherwise():
    talk = Judged()
    talk.client(ask("set standard_conforming_strings = off") + parse("a", SPLIT) + SYNC)
    talk.server(done("SET") + READY + PARSED + READY)
    assert talk.ran("a") == [OPAQUE]


def test_an_encoding_that_hides_ascii_is_refused_with_what_to_do():
    talk = Judged(client_encoding="SJIS")
    (told,) = talk.asked_for(b"select '\x95\\'; delete from t; --'")
    assert told.startswith("denied: client_encoding SJIS cannot be read for certain")
    assert told.endswith("SET client_encoding TO 'UTF8'")
    assert talk.asked_for("set client_encoding to 'UTF8'") == ["SET | setting client_encoding"]
    talk.server(parameter("client_encoding", "UTF8"))
    assert talk.asked_for("select 'ä' from ö") == ["SELECT | t: ö | no where | no limit"]


def test_a_text_is_read_in_the_encoding_that_it_was_parsed_in():
    talk = Judged(client_encoding="LATIN1")
    talk.prepared("a", "delete from ä".encode("latin-1"))
    talk.server(parameter("client_encoding", "UTF8"))
    assert talk.ran("a") == ["DELETE | table ä | t: ä | no where"]


def test_bytes_that_are_not_of_their_encoding_are_opaque():
    assert Judged().asked_for(b"select '\xff'") == [OPAQUE]


@pytest.mark.parametrize(
    "reported",
    [{"server_encoding": "LATIN1"}, {"client_encoding": "SQL_ASCII"}, {"server_encoding": ""}],
)
def test_names_beyond_ascii_are_certain_in_utf8_alone(reported):
    talk = Judged(**reported)
    assert talk.asked_for("delete from Ä") == [OPAQUE]
    assert talk.asked_for("delete from t where a = 'Ä'") == ["DELETE | table t | t: t | r: t.a"]


def test_what_only_newer_servers_have_built_in_is_opaque_on_older_ones():
    text = "select any_value(a) from t"
    assert Judged().asked_for(text) == ["SELECT | t: t | r: t.a | f: any_value | no where | no limit"]
    assert Judged(server_version="15.8").asked_for(text) == [OPAQUE]


def test_a_statement_that_is_executed_again_is_not_read_again():
    talk = Judged()
    talk.prepared("a", "delete from t")
    talk.ran("a")
    frames = talk.client(bind("", "a") + execute() + SYNC)
    request = next(frame.request for frame in frames if frame.request is not None)
    assert request.details["acts"] is acts_of(request)
    assert frames[0].side is CLIENT
