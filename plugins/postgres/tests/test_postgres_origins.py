"""Masks by origin in a connection, without servers: what is hidden, what is refused, and what doubt does."""

from __future__ import annotations

import struct

import cbor2
import pytest

from plugins.postgres.tests.maskers import EMAIL, Words
from plugins.postgres.tests.talk import (
    BOUND,
    FAILED,
    IN_BLOCK,
    PARSED,
    READY,
    SYNC,
    Talk,
    ask,
    bind,
    done,
    execute,
    fixed,
    fresh,
    parse,
    row,
)
from plugins.postgres.tests.test_postgres_masked import columns, messages, values
from plugins.postgres.tests.tracing import HIDDEN, Scene, by_origin, column_mask, shows
from recgate.decisions import Decision
from recgate.mask import Becomes, Replacer
from recgate.mask.columns import COLUMNS, ColumnRefusal
from recgate.mask.masking import Mask
from recgate.model import ConnectionInfo
from recgate.sansio.frames import CLIENT
from recgate_postgres.masked import MASK
from recgate_postgres.messages import fields_of, message
from recgate_postgres.options import PostgresListener
from recgate_postgres.origin.sights import Doubt, Wait
from recgate_postgres.relay import PostgresRelay

TEXT, INT8 = 25, 20
SECRET = b"078-05-1120"


class Guarded(Talk):
    """An open session with masks by origin; what is refused says so as the core would have it said."""

    def __init__(self, scene: Scene | None = None, masking=None):
        self.scene = scene or Scene()
        connection = ConnectionInfo("postgres", "test", "127.0.0.1:1", tls_mode="allow", loopback=True)
        relay = PostgresRelay(
            PostgresListener.model_validate({"auth": "password"}),
            connection,
            fixed,
            trace=self.scene.trace,
            sights=lambda target: self.scene,
        )
        self.refusals: list[ColumnRefusal] = []
        super().__init__(relay, masking=masking or by_origin())
        self.refuse = self._refused
        self.server(message(b"S", b"client_encoding\0UTF8\0"))
        self.take()

    def _refused(self, text: str) -> Decision | None:
        walk = self.relay._frontend
        assert walk is not None
        assert walk.asked is not None
        assert walk.asked.request is not None
        said = walk.asked.request.details[COLUMNS]
        if said is None:
            return None
        assert isinstance(said, ColumnRefusal)
        self.refusals.append(said)
        return Decision.deny(said.reason, rule=said.rule)

    def shown(self, text: str, *answer: bytes) -> list[tuple[str, bytes]]:
        """Ask, have the target answer, and give what the client got."""
        self.client(ask(text))
        self.take()
        self.server(b"".join(answer) + READY)
        return messages(self.take()[0])


def notes(frames):
    bodies = [cbor2.loads(frame.data) for frame in frames if frame.kind == MASK]
    return [(body["rule"], body["place"], body["count"]) for body in bodies]


def kinds(got):
    return "".join(kind for kind, _ in got)


# -- what is hidden ------------------------------------------------------------------------------------------------


def test_a_column_is_hidden_whatever_it_is_called():
    talk = Guarded()
    talk.client(ask("select id, ssn"))
    talk.take()

    frames = talk.server(
        columns(INT8, TEXT) + row(b"1", SECRET) + row(b"2", None) + row(b"3", b"x") + done("SELECT 3") + READY
    )

    assert values(talk.take()[0]) == [[b"1", b"*" * 11], [b"2", None], [b"3", b"*"]]
    assert notes(frames) == [("pii.people.ssn", "c1", 2)]
    assert SECRET not in b"".join(frame.data for frame in frames)


def test_what_has_no_such_column_is_passed_on_as_the_same_bytes():
    talk = Guarded()
    talk.client(ask("select 1"))
    data = columns(TEXT) + row(SECRET) * 50 + done("SELECT 50") + READY

    (frame,) = talk.server(data)

    assert frame.data is data


@pytest.mark.parametrize("size", [1, 2, 5, 33])
def test_a_value_in_pieces_is_hidden_whole(size):
    talk = Guarded()
    talk.client(ask("select id, ssn"))
    data = columns(INT8, TEXT) + row(b"1", SECRET) * 3 + done("SELECT 3") + READY
    talk.take()
    for start in range(0, len(data), size):
        talk.server(data[start : start + size])

    assert values(talk.take()[0]) == [[b"1", b"*" * 11]] * 3


def test_every_statement_of_a_text_has_its_own():
    talk = Guarded()
    one = columns(TEXT) + row(SECRET) + done("SELECT 1")
    got = talk.shown("select 1; select ssn; begin; select 1", one, one, done("BEGIN"), one)

    shown = [body[6:] for kind, body in got if kind == "D"]
    assert shown == [SECRET, b"*" * 11, SECRET]


def test_binary_values_and_prepared_statements_are_hidden_at_every_run():
    talk = Guarded(masking=by_origin(column_mask(becomes=Becomes.KEEP_LAST)))
    describe = message(b"D", b"Ss\0")
    talk.client(parse("s", "select id, ssn") + describe + SYNC)
    talk.server(PARSED + message(b"t", b"\0\0") + columns(INT8, INT8) + READY)
    talk.take()
    for _ in range(2):
        bound = message(b"B", b"\0s\0\0\0\0\0\0\1\0\1")
        talk.client(bound + execute() + SYNC)
        talk.server(BOUND + row(struct.pack("!q", 7), struct.pack("!q", 78051120)) + done("SELECT 1") + READY)
        assert values(talk.take()[0]) == [[struct.pack("!q", 7), struct.pack("!q", 1120)]]


def test_a_hidden_column_that_nobody_described_is_null():
    talk = Guarded()
    talk.client(parse("", "select id, ssn") + bind() + execute() + SYNC)
    talk.server(PARSED + BOUND + row(b"1", SECRET) + done("SELECT 1") + READY)

    assert values(talk.take()[0]) == [[b"1", None]]


def test_a_portal_that_goes_on_shows_what_it_was_bound_to():
    """Whatever its names would mean by now."""
    talk = Guarded()
    talk.client(parse("", "select ssn") + bind("p", "") + SYNC)
    talk.server(PARSED + BOUND + IN_BLOCK)
    talk.scene.statements["select ssn"] = shows(frozenset())
    talk.client(message(b"D", b"Pp\0") + execute("p", 1) + SYNC)
    talk.server(columns(TEXT) + row(SECRET) + message(b"s", b"") + IN_BLOCK)
    talk.client(execute("p", 1) + SYNC)
    talk.server(row(SECRET) + done("SELECT 1") + IN_BLOCK)

    assert values(talk.take()[0]) == [[b"*" * 11]] * 2


def test_content_and_columns_are_masked_together():
    content = Mask("seen", (Words(),), Replacer(Becomes.REDACT))
    talk = Guarded(masking=by_origin(content=(content,)))
    talk.client(ask("select id, ssn"))
    talk.take()

    frames = talk.server(columns(TEXT, TEXT) + row(EMAIL.encode(), EMAIL.encode()) + done("SELECT 1") + READY)

    assert values(talk.take()[0]) == [[b"*" * 17, b"*" * 17]]
    assert notes(frames) == [("seen.email", "c0", 1), ("pii.people.ssn", "c1", 1)]


def test_of_two_masks_the_stricter_hides():
    talk = Guarded(
        masking=by_origin(
            column_mask(becomes=Becomes.KEEP_LAST), column_mask(name="all", becomes=Becomes.NULL)
        )
    )

    got = talk.shown("select ssn", columns(TEXT), row(SECRET), done("SELECT 1"))
    assert got[1] == ("D", b"\0\1\xff\xff\xff\xff")


@pytest.mark.parametrize("becomes", [Becomes.KEEP_LAST, Becomes.HASH, Becomes.TOKENIZE, Becomes.REDACT])
def test_of_what_was_worked_out_from_a_hidden_column_nothing_shows(becomes):
    """Not the end of it, not how long it is, and not which are equal."""
    talk = Guarded(masking=by_origin(column_mask(becomes=becomes)))
    rows = row(SECRET) + row(b"x") + row(None)
    got = talk.shown("select upper(ssn)", columns(TEXT), rows, done("SELECT 3"))
    assert [body for kind, body in got if kind == "D"] == [
        b"\0\1\0\0\0\4****",
        b"\0\1\0\0\0\4****",
        b"\0\1\xff\xff\xff\xff",
    ]

    strict = Guarded(masking=by_origin(column_mask(becomes=becomes, predicates=False)))
    got = strict.shown("select upper(ssn)", columns(TEXT), rows, done("SELECT 3"))
    assert [body for kind, body in got if kind == "D"] == [b"\0\1\xff\xff\xff\xff"] * 3


def test_a_result_of_any_number_of_columns_is_hidden_or_not_as_one():
    talk = Guarded()

    got = talk.shown("select row", columns(TEXT, TEXT), row(SECRET, b"1"), done("SELECT 1"))
    assert got[1][1] == b"\0\2" + b"\0\0\0\4****" * 2
    assert (
        talk.shown("select rows", columns(TEXT, TEXT), row(b"a", b"b"), done("SELECT 1"))[1][1]
        == b"\0\2\0\0\0\1a\0\0\0\1b"
    )


def test_what_may_be_any_columns_value_is_hidden():
    talk = Guarded()

    assert talk.shown("select whatever", columns(TEXT), row(SECRET), done("SELECT 1"))[1][1].endswith(
        b"*" * 11
    )


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "said"), [
    ("select f()", "f() is not built in, so masked columns cannot be followed through it"),
    ("do $$x$$", "a DO block runs anything, so masked columns cannot be followed through it"),
    ("create table copies as select ssn", "people.ssn is masked, and CREATE TABLE AS would take it along"),
    ("selec ssn", "this does not parse, so masked columns cannot be followed through it"),
    ("select 1; select f()", "f() is not built in"),
    ("fetch c", 'nothing is known of a cursor "c"'),
    ("execute q", 'nothing is known of a statement "q"'),
    ("copy people to stdout (format csv, delimiter '::')", "cannot be taken apart"),
    ("select '\N{LATIN SMALL LETTER E WITH ACUTE}'", "SET client_encoding TO 'UTF8'"),
    ("select '\\'", "whether a backslash escapes"),
])  # fmt: skip
def test_what_cannot_be_followed_is_refused_whole(text, said):
    talk = Guarded()
    talk.client(ask(text))

    (refusal,) = talk.refusals
    assert said in refusal.reason
    assert refusal.rule == "pii"
    assert b"recgate_refused_" in talk.take()[1]
    assert not talk.scene.ran


def test_a_function_call_by_number_is_refused():
    talk = Guarded()
    talk.client(message(b"F", struct.pack("!IHHH", 954, 0, 0, 0)))

    assert "call it by its name in a SELECT" in talk.refusals[0].reason


def test_predicates_are_refused_where_the_mask_says_so():
    talk = Guarded()
    talk.client(ask("select id where ssn"))
    assert not talk.refusals
    strict = Guarded(masking=by_origin(column_mask(predicates=False)))
    strict.client(ask("select id where ssn"))

    assert "may not decide what is found, joined or ordered" in strict.refusals[0].reason


def test_a_refused_execute_in_a_pipeline_fails_its_series_and_no_other():
    talk = Guarded()
    talk.client(
        parse("", "select f()")
        + bind()
        + execute()
        + SYNC
        + parse("", "select ssn")
        + bind()
        + execute()
        + SYNC
    )

    sent = talk.take()[1]
    assert kinds(messages(sent)) == "PESPBES"
    assert len(talk.refusals) == 1


def test_without_a_catalog_nothing_passes_that_names_anything():
    talk = Guarded()
    talk.scene.now = Doubt("the catalog of prod-db is not read")
    talk.client(ask("begin"))
    talk.client(ask("select 1"))

    (refusal,) = talk.refusals
    assert refusal.reason.startswith("the catalog of prod-db is not read")


def test_a_relay_that_was_given_no_catalog_refuses():
    talk = Talk(fresh(), masking=by_origin())
    talk.client(ask("select ssn"))
    walk = talk.relay._frontend
    assert walk is not None
    assert walk.names.judge is not None

    assert walk.names.judge.refusal is not None


# -- what waits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [
    ask("select ssn"),
    parse("", "select ssn") + bind() + execute() + SYNC,
    parse("", "select ssn") + bind() + message(b"D", b"P\0") + execute() + SYNC,
    parse("", "select ssn") + bind("p", "") + SYNC,
])  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_while_the_catalog_is_read_the_client_waits(asked, size):
    talk = Guarded()
    talk.scene.now, now = Wait(), talk.scene.now
    for start in range(0, len(asked), size):
        talk.client(asked[start : start + size])
    assert talk.paused
    assert not talk.requests

    talk.scene.now = now
    talk.drain(CLIENT)

    assert not talk.paused
    assert len(talk.requests) == 1
    assert not talk.refusals
    sent = talk.take()[1]
    assert sent == asked


def test_what_has_changed_before_the_result_came_withholds_it():
    talk = Guarded()
    talk.client(ask("select 1"))
    talk.take()
    talk.scene.held = False
    talk.server(columns(TEXT) + row(SECRET) + done("SELECT 1") + READY)

    got = messages(talk.take()[0])
    assert kinds(got) == "TEZ"
    assert b"has changed meanwhile" in fields_of(got[1][1])["M"]


# -- results that are not as foreseen ------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "answer"), [
    ("select 1", columns(TEXT, TEXT) + row(b"1", SECRET)),
    ("select id, ssn", columns(TEXT) + row(SECRET)),
    ("update people set id = 1", columns(TEXT) + row(SECRET)),
    ("select 1", columns(TEXT) + row(b"1") + columns(TEXT) + row(SECRET)),
    ("select 1", columns(TEXT) + row(b"1") + done("SELECT 1") + columns(TEXT) + row(SECRET)),
    ("select 1", message(b"H", b"\0\0\2\0\0\0\0") + message(b"d", b"1\t" + SECRET + b"\n")),
    ("copy people to stdout", message(b"H", b"\1\0\2\0\0\0\0") + message(b"d", b"\0\1\0\0\0\x0b" + SECRET)),
    ("copy people to stdout", message(b"H", b"\0\0\2\0\0\0\0") + message(b"d", SECRET + b"\n")),
])  # fmt: skip
def test_a_result_of_another_shape_is_withheld(text, answer):
    talk = Guarded()
    got = talk.shown(text, answer, done("SELECT 1"))

    assert SECRET not in b"".join(body for _, body in got)
    assert fields_of(next(body for kind, body in got if kind == "E"))["C"] == b"58000"
    assert talk.shown("select 1", columns(TEXT), row(b"1"), done("SELECT 1"))[1] == (
        "D",
        b"\0\1\0\0\0\1" + b"1",
    )


# -- names that SQL gives ------------------------------------------------------------------------------------------


def test_a_cursor_shows_what_it_was_declared_for():
    talk = Guarded()
    talk.shown("declare c cursor for select ssn", done("DECLARE CURSOR"))

    assert talk.shown("fetch c", columns(TEXT), row(SECRET), done("FETCH 1"))[1] == (
        "D",
        b"\0\1\0\0\0\x0b" + b"*" * 11,
    )
    talk.client(execute("c") + SYNC)
    assert not talk.refusals


def test_a_cursor_that_may_be_one_of_two_is_hidden_if_either_is():
    talk = Guarded()
    talk.shown("declare c cursor for select ssn", done("DECLARE CURSOR"))
    talk.client(ask("declare c cursor for select name"))
    talk.server(message(b"E", b"SERROR\0C42P03\0Mexists\0\0") + FAILED)
    talk.take()
    assert talk.shown("fetch c", columns(TEXT), row(SECRET), done("FETCH 1"))[1][1].endswith(b"*" * 11)

    talk.shown("declare c cursor for select name", done("DECLARE CURSOR"))
    assert talk.shown("fetch c", columns(TEXT), row(b"alice"), done("FETCH 1"))[1][1].endswith(b"alice")


def test_a_prepared_statement_is_not_trusted_once_its_names_may_mean_something_else():
    talk = Guarded()
    talk.shown("prepare q as select ssn", done("PREPARE"))
    assert talk.shown("execute q", columns(TEXT), row(SECRET), done("SELECT 1"))[1][1].endswith(b"*" * 11)
    assert isinstance(talk.scene.now, type(talk.scene.sight(b"")))
    talk.scene.now = type(talk.scene.now)(talk.scene.now.catalog, ("pg_catalog", "other"))  # type: ignore[union-attr]
    talk.client(ask("execute q"))

    assert "was prepared with has changed" in talk.refusals[0].reason


def test_sql_that_runs_a_name_of_the_protocol_shows_what_that_shows():
    talk = Guarded()
    talk.client(parse("q", "select ssn") + SYNC)
    talk.server(PARSED + READY)
    talk.take()

    assert talk.shown("execute q", columns(TEXT), row(SECRET), done("SELECT 1"))[1][1].endswith(b"*" * 11)


# -- masked whole --------------------------------------------------------------------------------------------------


def test_what_cannot_be_followed_is_masked_whole_where_the_mask_says_so():
    talk = Guarded(masking=by_origin(column_mask(whole=True)))
    talk.client(ask("select f()"))
    talk.take()
    frames = talk.server(columns(TEXT, INT8) + row(SECRET, b"42") + done("SELECT 1") + READY)

    assert values(talk.take()[0]) == [[b"****", b"0"]]
    assert notes(frames) == [("pii.untraced", "c0", 1), ("pii.untraced", "c1", 1)]
    assert talk.scene.ran == [(b"select f()", True)]


@pytest.mark.parametrize(
    "text", ["do $$x$$", "create table copies as select ssn", "insert into x select f()", "selec"]
)
def test_what_does_more_than_show_is_refused_even_then(text):
    talk = Guarded(masking=by_origin(column_mask(whole=True)))
    talk.client(ask(text))

    assert len(talk.refusals) == 1


def test_one_mask_that_refuses_is_enough():
    talk = Guarded(masking=by_origin(column_mask(whole=True), column_mask(name="strict")))
    talk.client(ask("select f()"))

    assert talk.refusals[0].rule == "strict"


# -- errors and notices ---------------------------------------------------------------------------------------------


def report(kind: bytes, code: str, **fields: str) -> bytes:
    body = f"SERROR\0C{code}\0" + "".join(f"{key}{value}\0" for key, value in fields.items())
    return message(kind, body.encode() + b"\0")


@pytest.mark.parametrize("text", ["select ssn", "select id where ssn", "declare c cursor for select ssn"])
def test_errors_of_what_touches_a_masked_column_quote_nothing(text):
    talk = Guarded()
    said = 'invalid input syntax for type integer: "078-05-1120"'
    got = talk.shown(
        text, report(b"N", "00000", M=SECRET.decode()), report(b"E", "22P02", M=said, D="078", W="078")
    )

    assert kinds(got) == "NEZ"
    assert fields_of(got[1][1]) == {
        "S": b"ERROR",
        "C": b"22P02",
        "M": b"withheld, since it may quote masked values (SQLSTATE 22P02)",
    }
    assert b"078" not in got[0][1]


def test_errors_of_anything_else_say_what_happened_but_not_to_which_row():
    talk = Guarded()
    failing = "Failing row contains (1, 078-05-1120)."
    got = talk.shown("update people set id = 1", report(b"E", "23514", M="violates check", D=failing))
    assert fields_of(got[0][1]) == {"S": b"ERROR", "C": b"23514", "M": b"violates check"}

    got = talk.shown(
        "select 1", report(b"E", "P0001", M="078-05-1120", W="PL/pgSQL function f() line 1 at RAISE")
    )
    assert b"078" not in got[0][1]

    syntax = report(b"E", "42703", M='column "snn" does not exist', H='Perhaps you meant "ssn".', P="8")
    assert talk.shown("select ssn", syntax)[0][1] == syntax[5:]
    cancelled = talk.shown("select ssn", report(b"E", "57014", M="canceling statement due to user request"))
    assert fields_of(cancelled[0][1])["M"] == b"canceling statement due to user request"


# -- COPY ------------------------------------------------------------------------------------------------------------


def copied(talk: Guarded, text: str, binary: int, *rows: bytes) -> list[bytes]:
    head = message(b"H", bytes((binary, 0, 2, 0, binary, 0, binary)))
    got = talk.shown(text, head, *(message(b"d", each) for each in rows), message(b"c", b""), done("COPY 1"))
    return [body for kind, body in got if kind == "d"]


def test_copy_hides_the_same_columns():
    talk = Guarded()
    assert copied(talk, "copy people to stdout", 0, b"1\t078-05-1120\n", b"2\t\\N\n", b"\\\t\t078\n") == [
        b"1\t***********\n",
        b"2\t\\N\n",
        b"\\\t\t000\n",
    ]
    assert copied(
        talk, "copy people to stdout with csv header", 0, b"id,ssn\n", b'"1,2","078-05"\n', b"2,\n"
    ) == [
        b"id,ssn\n",
        b'"1,2","******"\n',
        b"2,\n",
    ]
    head = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    one = b"\0\2\0\0\0\1x\0\0\0\x0b" + SECRET
    assert copied(talk, "copy people to stdout (format binary)", 1, head + one, b"\xff\xff") == [
        head + b"\0\2\0\0\0\1x\xff\xff\xff\xff",
        b"\xff\xff",
    ]


def test_nothing_is_hidden_of_columns_that_no_pattern_means():
    talk = Guarded(masking=by_origin(column_mask("other.ssn")))

    assert talk.shown("select ssn", columns(TEXT), row(SECRET), done("SELECT 1"))[1][1].endswith(SECRET)
    assert HIDDEN
