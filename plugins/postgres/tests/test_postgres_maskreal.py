"""Real servers and clients with masks between: psycopg, psql, asyncpg, pg8000, COPY; no canary anywhere but at home."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator

import asyncpg
import cbor2
import pg8000.native
import psycopg
import pytest

from plugins.postgres.tests.gate import TOKEN, Gate
from plugins.postgres.tests.maskers import CARD, EMAIL, Words, masks
from plugins.postgres.tests.test_postgres_real import gate
from recgate.mask import Becomes
from recgate.sansio.frames import CLIENT
from recgate_postgres.maskmessages import Messages
from recgate_postgres.shapes import Shapes
from recgate_postgres.transcript import PostgresTranscriber

ROW = (
    f"select substr('x{EMAIL}', 2) as mail, {CARD}::bigint as card, {CARD}::numeric as exact, null::text as nothing,"
    f" jsonb_build_object('mail', substr('x{EMAIL}', 2), 'card', {CARD}) as doc, 42 as plain"
)
COPIED = f"copy (select substr('x{EMAIL}', 2), {CARD}::bigint, null from generate_series(1, 3)) to stdout"  # noqa: S608
THRICE = f"select substr('x{EMAIL}', 2) as mail from generate_series(1, 3)"  # noqa: S608


def dsn(opened: Gate) -> str:
    return f"host=127.0.0.1 port={opened.port} user=prod-db password={TOKEN} sslmode=disable"


@pytest.fixture(params=[0, 1, 1000])
def opened(request, wheel) -> Iterator[Gate]:
    with gate(wheel, masking=masks(Becomes.KEEP_LAST), chunk=request.param) as running:
        yield running


def leaks(opened: Gate) -> bytes:
    """Whatever of the canaries is on the record of what was sent to clients, or in what it means."""
    seen = opened.seen[-1]
    said = b"".join(frame.data for frame in seen.frames if frame.side != CLIENT)
    transcriber = PostgresTranscriber({}, rows=True)
    entries = [entry for frame in seen.frames for entry in transcriber.feed(frame)]
    rows = repr([entry.body for entry in [*entries, *transcriber.finish()] if entry.kind == "rows"]).encode()
    return b"".join(each for each in (EMAIL.encode(), CARD.encode()) if each in said or each in rows)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("prepare", [False, True])
def test_psycopg_gets_values_of_their_types(opened, binary, prepare):
    with psycopg.connect(dsn(opened), autocommit=True) as connection:
        for _ in range(3):
            row = connection.cursor(binary=binary).execute(ROW, prepare=prepare).fetchone()
            assert row == (
                "*************.org",
                1111,
                1111,
                None,
                {"mail": "*************.org", "card": 1111},
                42,
            )
    assert leaks(opened) == b""


def test_psycopg_cursors_and_returning(opened):
    with psycopg.connect(dsn(opened)) as connection:
        connection.execute("create temp table t (id serial, mail text)")
        (mail,) = connection.execute(
            "insert into t (mail) values (substr(%s, 2)) returning mail", ["x" + EMAIL]
        ).fetchone() or ("",)
        assert mail == "*************.org"
        with connection.cursor("named") as cursor:
            cursor.itersize = 1
            cursor.execute("select mail from t, generate_series(1, 3)")
            assert [row[0] for row in cursor] == ["*************.org"] * 3
        with connection.cursor("binary", withhold=True) as cursor:
            cursor.execute("select mail from t")
            assert cursor.fetchall() == [("*************.org",)]
    assert leaks(opened) == b""


@pytest.mark.parametrize("form", ["text", "csv", "binary"])
def test_copy_out(opened, form):
    with psycopg.connect(dsn(opened), autocommit=True) as connection, connection.cursor() as cursor:
        with cursor.copy(f"{COPIED} (format {form})".encode()) as copy:
            data = b"".join(copy)
    assert data.count(b"*************.org") == 3
    assert EMAIL.encode() not in data
    assert CARD.encode() not in data
    assert int(CARD).to_bytes(8) not in data
    assert leaks(opened) == b""


def test_errors_notices_notifications_and_parameters(opened):
    notices: list[str] = []
    with psycopg.connect(dsn(opened), autocommit=True) as connection:
        connection.add_notice_handler(
            lambda notice: notices.append(f"{notice.message_primary} {notice.message_detail}")
        )
        with pytest.raises(psycopg.errors.InvalidTextRepresentation) as failed:
            connection.execute(f"select substr('x{EMAIL}', 2)::int")
        connection.execute(
            f"do $$ begin raise notice '%', substr('x{EMAIL}', 2) using detail = substr('x{EMAIL}', 2); end $$"
        )
        connection.execute("listen here")
        connection.execute(f"select pg_notify('here', substr('x{EMAIL}', 2))")
        (notification,) = connection.notifies(timeout=10, stop_after=1)
        connection.execute(f"select set_config('application_name', substr('x{EMAIL}', 2), false)")
        reported = connection.info.parameter_status("application_name")
    assert 'integer: "*************.org"' in str(failed.value)
    assert notices == ["*************.org *************.org"]
    assert notification.payload == "*************.org"
    assert reported == "*************.org"
    assert leaks(opened) == b""


def test_psql_shows_masked_names_and_values(opened):
    environment = {**os.environ, "PGPASSWORD": TOKEN, "PGSSLMODE": "disable"}
    place = ["-h", "127.0.0.1", "-p", str(opened.port), "-U", "prod-db", "-d", "prod-db"]
    words = [
        "-c",
        ROW,
        "-c",
        f"begin; declare c cursor for {ROW}; fetch all c; commit",
        "-c",
        f"\\copy ({ROW}) to stdout csv",
    ]
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", *place, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.count("*************.org|1111|1111||") == 2
    assert "*************.org,0000000000001111,0000000000001111,," in done.stdout
    assert EMAIL not in done.stdout
    assert leaks(opened) == b""


async def _asyncpg(port: int) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(
        host="127.0.0.1", port=port, user="prod-db", password=TOKEN, ssl=False, database="prod-db"
    )
    try:
        statement = await connection.prepare(ROW)
        rows = [tuple(await statement.fetchrow() or ())[:4] for _ in range(2)]
        async with connection.transaction():
            rows += [
                tuple(row)[:4]
                async for row in connection.cursor(f"{ROW} from generate_series(1, 3)", prefetch=2)
            ]
        rows.append(
            tuple(await connection.fetchrow("select array[$1::text], $2::int8", EMAIL, int(CARD)) or ())
        )
        return rows
    finally:
        await connection.close()


def test_asyncpg_which_asks_for_binary_and_describes_once(opened):
    rows = asyncio.run(_asyncpg(opened.port))

    assert rows[:5] == [("*************.org", 1111, 1111, None)] * 5
    assert rows[5] == (["*************.org"], 1111)
    assert leaks(opened) == b""


def test_pg8000(opened):
    connection = pg8000.native.Connection(
        "prod-db", host="127.0.0.1", port=opened.port, password=TOKEN, database="prod-db"
    )
    try:
        assert connection.run(ROW)[0][:4] == ["*************.org", 1111, 1111, None]  # type: ignore[index]
        prepared = connection.prepare("select cast(:mail as text)")
        assert prepared.run(mail=EMAIL) == [["*************.org"]]
    finally:
        connection.close()
    assert leaks(opened) == b""


def test_a_masker_that_fails_on_a_row_leaves_the_session_usable(wheel):
    fails = Words(lambda value: value == b"pin 7777")
    with (
        gate(wheel, masking=masks(masker=fails)) as opened,
        psycopg.connect(dsn(opened), autocommit=True) as connection,
    ):
        for _ in range(2):
            with pytest.raises(psycopg.errors.SystemError, match="the rest of this result is withheld"):
                connection.execute("select 'pin ' || n from generate_series(7000, 20000) n")
            assert connection.execute("select 'still here'").fetchone() == ("still here",)
        said = b"".join(frame.data for frame in opened.seen[-1].frames)
        assert b"pin 7776" in said
        assert b"pin 7777" not in said
        assert b"pin 7778" not in said


def test_what_is_masked_is_noted_with_rule_and_place(wheel):
    with gate(wheel, masking=masks()) as opened, psycopg.connect(dsn(opened), autocommit=True) as connection:
        connection.execute(THRICE)
    assert opened.seen[-1].done.wait(10)
    notes = [cbor2.loads(frame.data) for frame in opened.seen[-1].frames if frame.kind == "mask"]

    assert notes == [{"rule": "pii.email", "place": "mail", "count": 3}]


def test_a_million_rows_without_a_hit_are_not_taken_apart():
    messages = Messages(masks(), Shapes())
    messages.begin(b"D\0\0\0\x0f\0\1\0\0\0\5plain")

    assert not messages.touched(0, 16)
