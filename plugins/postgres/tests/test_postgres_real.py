"""Real clients through the relay to real servers, and what is in the recording afterwards."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from plugins.postgres.tests.gate import TOKEN, Gate
from plugins.postgres.tests.talk import execute, parse, startup
from recgate.decisions import ALLOW, Decision
from recgate.model import Credential, Secret, TargetInfo
from recgate.sansio.asks import StartTls
from recgate.sansio.frames import CLIENT, UPSTREAM, Request
from recgate_postgres.messages import message, query
from recgate_postgres.options import PostgresTarget
from tests.peers.postgres import PASSWORD, Authority, Cluster, wheel_bin

NO_DROP = Decision.deny("Dropping goes through a migration.", rule="no-drop")
SAID = "no-drop: Dropping goes through a migration. (recgate session 01890000-0000-7000-8000-000000000001)"


def no_drop(request: Request) -> Decision:
    """Refuse whatever would drop something, also under a name."""
    prepared = request.details.get("prepared", {})
    texts = [request.text, *(prepared.values() if "execute" in request.text.lower() else ())]  # type: ignore[union-attr]
    return NO_DROP if any("drop" in text.lower() for text in texts) else ALLOW


@contextmanager
def gate(
    cluster: Cluster,
    user: str = "scram_user",
    *,
    options: dict[str, object] | None = None,
    **settings: object,
) -> Iterator[Gate]:
    """A gate in front of a cluster."""
    tls = {"tls": "verify-full", "ca": cluster.authority.path} if cluster.tls else {"tls": "disable"}
    target = PostgresTarget.model_validate({**tls, "databases": "*", **(options or {})})
    info = TargetInfo("prod-db", "postgres", cluster.host, cluster.port, target)
    settings.setdefault(
        "certificate",
        (cluster.authority.directory / "server.pem", cluster.authority.directory / "server.key"),
    )
    credential = settings.pop("credential", Credential(user, Secret(PASSWORD)))
    with Gate(info, credential, **settings) as opened:  # type: ignore[arg-type]
        yield opened


def psql(
    opened: Gate, *commands: str, line: str = "sslmode=disable", stdin: str = "", program: str = "psql"
) -> subprocess.CompletedProcess[str]:
    """Run psql through a gate."""
    place = f"host=127.0.0.1 port={opened.port} user=prod-db {line}"
    arguments = [word for command in commands for word in ("-c", command)]
    return subprocess.run(
        [program, "-X", "-A", "-t", "-q", *arguments, place],
        env={**os.environ, "PGPASSWORD": TOKEN},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def connect(opened: Gate, **keywords: object) -> psycopg.Connection:
    """Connect psycopg through a gate."""
    defaults = {"user": "prod-db", "password": TOKEN, "sslmode": "disable", "autocommit": True}
    return psycopg.connect(host="127.0.0.1", port=opened.port, **{**defaults, **keywords})  # type: ignore[arg-type]


@pytest.mark.parametrize("user", ["scram_user", "md5_user", "clear_user", "trust_user"])
def test_every_proof_that_a_target_may_ask_for(debian, user):
    with gate(debian, user, options={"tag": True}) as opened:
        done = psql(
            opened,
            "select current_user, (select ssl from pg_stat_ssl where pid = pg_backend_pid())",
            "show application_name",
        )
        assert done.stdout.splitlines() == [f"{user}|t", "recgate 01890000-0000-7000-8000-000000000001 psql"]


def test_a_client_certificate_towards_the_target(debian):
    certificate, key = debian.authority.issue("cert_user")
    credential = Credential("cert_user", None, Secret(key.read_bytes()), certificate.read_bytes())
    with gate(debian, credential=credential) as opened:
        assert psql(opened, "select current_user").stdout == "cert_user\n"


def test_scram_plus_is_what_a_postgresql_15_is_given(debian):
    with gate(debian) as opened:
        psql(opened, "select 1")
        assert any(isinstance(ask, StartTls) and ask.side is UPSTREAM for ask in opened.seen[0].asks)


def test_threat_10_a_target_with_a_certificate_of_somebody_else(debian, tmp_path):
    other = Authority(tmp_path, "somebody else")
    with gate(debian, options={"ca": other.path}) as opened:
        assert psql(opened, "select 1").returncode == 2
        opened.failures.clear()
        assert opened.seen[0].wire(CLIENT) == b""


def test_a_newer_server_speaks_3_2(wheel):
    with gate(wheel) as opened:
        assert psql(opened, "show server_version_num").stdout.startswith("18")


@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_the_clients_tls_modes(debian, chunk):
    with gate(debian, tls_mode="require", chunk=chunk) as opened:
        ca = debian.authority.path
        for line in ("sslmode=require", f"sslmode=verify-full sslrootcert={ca}"):
            assert psql(opened, "select 1", line=line).stdout == "1\n"
        refused = psql(opened, "select 1", line="sslmode=disable")
        assert "takes only TLS" in refused.stderr
        assert refused.returncode == 2


def test_direct_tls_with_alpn(debian):
    with gate(debian, tls_mode="require") as opened:
        context = ssl.create_default_context(cafile=debian.authority.path)
        context.set_alpn_protocols(["postgresql"])
        with (
            socket.create_connection(("127.0.0.1", opened.port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as tls,
        ):
            tls.sendall(startup(user="prod-db"))
            assert tls.recv(9) == message(b"R", b"\0\0\0\3")


@pytest.mark.parametrize("program", ["psql", str(wheel_bin() / "psql")], ids=["15", "18"])
@pytest.mark.parametrize("binding", ["disable", "prefer", "require"])
def test_scram_with_real_clients(debian, binding, program):
    if "pginstall" in program:
        line = "sslmode=disable channel_binding=disable"  # the wheel is built without TLS
    else:
        line = f"sslmode=require channel_binding={binding}"
    with gate(debian, auth="scram", tls_mode="allow") as opened:
        assert psql(opened, "select 1", line=f"{line} user=alice+prod-db", program=program).stdout == "1\n"
        wrong = psql(opened, "select 1", line=f"{line} user=alice+prod-db password=wrong", program=program)
        assert "authentication failed" in wrong.stderr


def test_a_database_that_is_not_open(debian):
    with gate(debian, options={"databases": ["template1"]}) as opened:
        assert (
            psql(opened, "select current_database()", line="sslmode=disable dbname=template1").stdout
            == "template1\n"
        )
        refused = psql(opened, "select 1", line="sslmode=disable dbname=template0")
        assert 'database "template0" is not open on prod-db' in refused.stderr


def test_the_targets_own_refusals_are_passed_on(debian):
    with gate(debian) as opened:
        assert 'database "nope" does not exist' in psql(opened, line="sslmode=disable dbname=nope").stderr


# -- threat 15: one decision for every way in -----------------------------------------------------------------


@pytest.fixture
def table(debian) -> Iterator[str]:
    debian.psql("create table if not exists kept (a int, b text); truncate kept; grant all on kept to public")
    debian.psql("insert into kept values (1, 'one'), (2, null)")
    yield "kept"
    assert debian.psql("select count(*) from pg_class where relname = 'kept'") == "1"


def test_threat_15_simple_and_multi_statement(debian, table):
    with gate(debian, decide=no_drop) as opened:
        done = psql(
            opened,
            "drop table kept",
            "insert into kept values (3, 'x') \\; drop table kept",
            "select count(*) from kept",
        )
        assert done.stdout == "2\n"
        assert done.stderr.count(SAID) == 2


def test_threat_15_extended_and_prepared_long_before(debian, table):
    with gate(debian, decide=no_drop) as opened, connect(opened) as connection:
        for prepare in (False, True):
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
                connection.execute("drop table kept", prepare=prepare)
            assert caught.value.diag.message_primary == SAID
        assert connection.execute("select count(*) from kept", prepare=True).fetchone() == (2,)


def test_threat_15_a_pipeline_means_what_it_meant(debian, table):
    with gate(debian, decide=no_drop) as opened, connect(opened) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.pipeline():  # noqa: PT012
            connection.execute("insert into kept values (9, 'lost')")
            connection.execute("drop table kept")
            connection.execute("insert into kept values (10, 'skipped')")
        assert connection.execute("select count(*) from kept where a > 8").fetchone() == (0,)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_threat_15_in_a_transaction_the_block_fails_as_it_does_for_any_error(debian, table):
    with gate(debian, decide=no_drop) as opened, connect(opened, autocommit=False) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("drop table kept")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            connection.execute("select 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "drop table kept"
            )  # also in a failed transaction it is our refusal that is shown
        connection.rollback()
        assert connection.execute("select 1").fetchone() == (1,)


def test_threat_15_copy_in_and_out(debian, table):
    def no_copy(request: Request) -> Decision:
        return NO_DROP if "copy" in request.text.lower() else ALLOW

    with gate(debian, decide=no_copy) as opened:
        done = psql(
            opened,
            "copy kept to stdout",
            "\\copy kept from stdin",
            "select count(*) from kept",
            stdin="5\tx\n",
        )
        assert done.stdout == "2\n"
        assert done.stderr.count(SAID) == 2
        with connect(opened) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.cursor().copy("copy kept from stdin").__enter__()
            assert connection.execute("select count(*) from kept").fetchone() == (2,)


def test_threat_15_cursors_are_decided_on_when_declared_and_when_fetched(debian, table):
    def no_fetch(request: Request) -> Decision:
        return NO_DROP if "fetch" in request.text.lower() else ALLOW

    with gate(debian, decide=no_fetch) as opened:
        done = psql(opened, "begin", "declare c cursor for select a from kept", "fetch all from c")
        assert SAID in done.stderr
        assert [request.text for request in opened.seen[0].requests] == [
            "begin", "declare c cursor for select a from kept", "fetch all from c",
        ]  # fmt: skip


def test_threat_15_fast_path_function_calls(debian):
    def no_function(request: Request) -> Decision:
        return NO_DROP if request.details["protocol"] == "function" else ALLOW

    with gate(debian, decide=no_function) as opened:
        done = psql(opened, "\\lo_import /etc/hostname")
        assert SAID in done.stderr
    with gate(debian) as opened:
        assert psql(opened, "\\lo_import /etc/hostname").returncode == 0
        assert "lo_create()" in " ".join(
            request.text for request in opened.seen[0].requests
        ) or "lo_creat()" in [request.text for request in opened.seen[0].requests]


def test_threat_15_sql_execute_of_a_protocol_level_statement(debian, table):
    with gate(debian, decide=no_drop) as opened, connect(opened) as connection:
        connection.pgconn.prepare(b"s1", b"drop table kept")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("execute s1")


def test_threat_15_a_rename_that_the_target_skips(debian, table):
    with gate(debian, decide=no_drop) as opened, connect(opened) as connection:
        pgconn = connection.pgconn
        pgconn.prepare(b"s1", b"drop table kept")
        wire = opened.live[0]
        assert wire.cancel_key
        with socket.create_connection(("127.0.0.1", opened.port)) as raw:
            _log_in(raw)
            raw.sendall(parse("s", "drop table kept") + b"S\0\0\0\4")
            _until_ready(raw)
            bad = execute("nowhere") + parse("s", "select 1") + b"S\0\0\0\4"
            run = message(b"B", b"\0s\0" + bytes(6)) + execute() + b"S\0\0\0\4"
            raw.sendall(bad + run)
            _until_ready(raw)
            assert SAID.encode() in _until_ready(raw)


def test_threat_15_replication_is_refused_and_when_allowed_its_commands_are_decided_on(debian):
    with gate(debian) as opened:
        assert (
            "replication is not open"
            in psql(opened, "IDENTIFY_SYSTEM", line="sslmode=disable replication=true").stderr
        )
    with gate(debian, options={"replication": True}) as opened:
        assert psql(opened, "IDENTIFY_SYSTEM", line="sslmode=disable replication=true").returncode == 0
        assert opened.seen[0].requests[0].details["replication"] is True
    with gate(debian, options={"replication": True}, decide=lambda request: NO_DROP) as opened:
        for line in ("replication=true", "replication=database"):
            assert SAID in psql(opened, "IDENTIFY_SYSTEM", line=f"sslmode=disable {line}").stderr


def test_a_physical_stream_goes_through(debian, tmp_path):
    with gate(debian, options={"replication": True}) as opened:
        place = f"host=127.0.0.1 port={opened.port} user=prod-db sslmode=disable"
        done = subprocess.run(
            [debian.bin / "pg_basebackup", "-D", tmp_path / "copy", "-X", "stream", "-c", "fast", "-d", place],
            env={**os.environ, "PGPASSWORD": TOKEN}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "copy" / "PG_VERSION").read_text() == "15\n"


# -- everything else that the protocol can do -----------------------------------------------------------------


@pytest.mark.parametrize("chunk", [0, 1])
def test_copy_both_ways_keeps_every_byte(debian, table, chunk):
    with gate(debian, chunk=chunk) as opened, connect(opened) as connection, connection.cursor() as cursor:
        rows = [(number, f"row {number}") for number in range(300)]
        with cursor.copy("copy kept from stdin") as copy:
            for each in rows:
                copy.write_row(each)
        with cursor.copy(
            "copy (select * from kept where a is not null and b like 'row%' order by a) to stdout"
        ) as copy:
            assert [(int(a), b) for a, b in copy.rows()] == rows
        with pytest.raises(psycopg.Error), cursor.copy("copy kept from stdin") as copy:
            copy.write(b"not a number\tx\n" * 10)
        assert connection.execute("select 1").fetchone() == (1,)


EXTENDED_COPY = """
import sys, psycopg
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    def copy(*end):
        result = connection.pgconn.exec_params(b"copy kept from stdin", [])
        assert result.status == psycopg.pq.ExecStatus.COPY_IN
        connection.pgconn.put_copy_data(b"7\\tseven\\n")
        connection.pgconn.put_copy_end(*end)
        while connection.pgconn.get_result() is not None:
            pass
        assert connection.execute("select 1", prepare=True).fetchone() == (1,)
    for _ in range(3):
        copy()
    copy(b"the client gave up")
    print(connection.execute("select count(*) from kept where a = 7").fetchone()[0])
"""


def test_copy_in_the_extended_protocol_swallows_a_sync(debian, table):
    # PQexecParams sends Sync right behind Execute, and the server ignores it while it takes data. In a process of
    # its own, since libpq's PQgetResult waits without letting other Python threads run.
    with gate(debian) as opened:
        place = f"host=127.0.0.1 port={opened.port} user=prod-db password={TOKEN} sslmode=disable"
        done = subprocess.run(
            [sys.executable, "-c", EXTENDED_COPY, place],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout == "3\n", done.stderr


def test_notifications_come_without_being_asked(debian):
    with gate(debian) as opened, connect(opened) as listener, connect(opened) as speaker:
        listener.execute("listen news")
        speaker.execute("notify news, 'it happened'")
        (note,) = listener.notifies(stop_after=1, timeout=30)
        assert (note.channel, note.payload) == ("news", "it happened")


def test_portals_with_row_limits(debian):
    with gate(debian) as opened, connect(opened, autocommit=False) as connection:
        with connection.cursor("c") as cursor:
            cursor.execute("select generate_series(1, 10)")
            assert cursor.fetchmany(3) == [(1,), (2,), (3,)]
            assert len(cursor.fetchall()) == 7
    with gate(debian) as opened, socket.create_connection(("127.0.0.1", opened.port)) as raw:
        _log_in(raw)
        series = parse("", "select generate_series(1, 5)") + message(b"B", b"\0\0" + bytes(6))
        raw.sendall(series + execute("", 2) + execute("", 2) + execute("", 2) + b"S\0\0\0\4")
        answer = _until_ready(raw)
        assert answer.count(b"s\0\0\0\4") == 2
        assert answer.count(b"SELECT 1\0") == 1
        assert [request.details["max_rows"] for request in opened.seen[0].requests] == [2, 2, 2]


def test_several_results_empty_queries_and_notices(debian):
    with gate(debian) as opened, connect(opened) as connection:
        cursor = connection.execute("select 1; select 2; select 3")
        assert cursor.fetchone() == (1,)
        assert cursor.nextset()
        assert cursor.fetchone() == (2,)
        assert connection.execute("").description is None
        notices = []
        connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
        connection.execute("do $$ begin raise notice 'hello'; end $$")
        assert notices == ["hello"]


@pytest.mark.parametrize("encoding", ["SJIS", "GBK", "BIG5", "LATIN1", "EUC_JP"])
def test_encodings_that_are_not_ascii_safe(debian, encoding):
    word = "caf\u00e9" if encoding == "LATIN1" else "表示能"  # in SJIS and BIG5 a byte of it is a backslash
    with gate(debian) as opened, connect(opened, client_encoding=encoding) as connection:
        if encoding != "BIG5":
            assert connection.execute("select %s", (word,)).fetchone() == (word,)
        connection.execute("select 1")
        assert connection.info.parameter_status("client_encoding") == encoding


def test_a_large_result_and_a_large_value(debian):
    with gate(debian) as opened, connect(opened) as connection:
        assert (
            len(connection.execute("select repeat('x', 100) from generate_series(1, 20000)").fetchall())
            == 20_000
        )
        big = b"\0\1" * 4_000_000
        assert connection.execute("select length(%b::bytea)", (big,)).fetchone() == (8_000_000,)


def test_what_is_too_large_is_refused_and_the_session_goes_on(debian):
    with gate(debian, options={"max_message": 20_000}) as opened, connect(opened) as connection:
        for prepare in (False, True):
            with pytest.raises(psycopg.errors.ProgramLimitExceeded, match=r"options\.max_message"):
                connection.execute("select %s", ("x" * 50_000,), prepare=prepare)
            assert connection.execute("select 1").fetchone() == (1,)


def test_the_server_looks_like_itself(debian):
    with gate(debian) as opened, connect(opened) as connection:
        assert connection.info.server_version == int(debian.psql("show server_version_num"))
        assert connection.info.parameter_status("server_encoding") == "UTF8"
        assert connection.execute("select pg_backend_pid()").fetchone() != (connection.info.backend_pid,)


def test_startup_options_reach_the_target(debian):
    with gate(debian) as opened, connect(opened, options="-c work_mem=7MB -c DateStyle=SQL") as connection:
        assert connection.execute("show work_mem").fetchone() == ("7MB",)
        assert connection.info.parameter_status("DateStyle") == "SQL, MDY"


@pytest.mark.parametrize("server", ["debian", "wheel"])
def test_threat_15_cancelling_reaches_the_right_target(server, request):
    cluster: Cluster = request.getfixturevalue(server)
    wheel = server == "wheel"
    line = "sslmode=disable max_protocol_version=3.2" if wheel else "sslmode=disable"
    with gate(cluster) as opened, connect(opened) as other:
        # psql, since libpq's own cancelling waits without letting other Python threads run.
        place = f"host=127.0.0.1 port={opened.port} user=prod-db {line}"
        busy = subprocess.Popen(
            [cluster.bin / "psql", "-X", "-c", "select pg_sleep(60)", place],
            env={**os.environ, "PGPASSWORD": TOKEN}, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        while not cluster.psql(
            "select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
        ):
            assert busy.poll() is None
        key = opened.live[1].cancel_key
        assert len(key) == (36 if wheel else 8)
        _cancel(opened, b"\0\0\0\1" + b"abcd")  # somebody guesses
        _cancel(opened, key[:-1] + bytes([key[-1] ^ 1]))
        assert opened.cancelled == 0
        busy.send_signal(signal.SIGINT)
        _, said = busy.communicate(timeout=30)
        assert "canceling statement due to user request" in said
        assert opened.cancelled == 1
        assert other.execute("select 1").fetchone() == (1,)


def _cancel(opened: Gate, key: bytes) -> None:
    with socket.create_connection(("127.0.0.1", opened.port)) as raw:
        raw.sendall(struct.pack("!II", 8 + len(key), 80877102) + key)
        assert raw.recv(100) == b""


def test_threat_12_a_silent_client_keeps_nobody_out(debian):
    with gate(debian) as opened:
        quiet = [socket.create_connection(("127.0.0.1", opened.port)) for _ in range(20)]
        for number, each in enumerate(quiet):
            each.sendall(startup(user="prod-db")[:number])
        assert psql(opened, "select 1").stdout == "1\n"
        for each in quiet:
            each.close()


def test_nothing_of_the_login_is_recorded(debian):
    with gate(debian, "clear_user") as opened:
        psql(opened, "select 'needle'")
        opened.seen[0].done.wait(10)
        recorded = b"".join(frame.data for frame in opened.seen[0].frames)
        assert b"needle" in recorded
        assert TOKEN.encode() not in recorded
        assert PASSWORD.encode() not in recorded


def test_what_went_over_the_wire_is_what_was_recorded(debian):
    with gate(debian) as opened, socket.create_connection(("127.0.0.1", opened.port)) as raw:
        _log_in(raw)
        raw.sendall(query(b"select generate_series(1, 1000)"))
        answer = _until_ready(raw)
        assert opened.seen[0].wire(CLIENT) == query(b"select generate_series(1, 1000)")
        assert opened.seen[0].wire(UPSTREAM).endswith(answer)


def _log_in(raw: socket.socket) -> None:
    raw.sendall(startup(user="prod-db") + message(b"p", TOKEN.encode() + b"\0"))
    _until_ready(raw)


def _until_ready(raw: socket.socket) -> bytes:
    """Read messages up to a ReadyForQuery, one at a time."""
    got = b""
    while True:
        head = _exactly(raw, 5)
        body = _exactly(raw, int.from_bytes(head[1:]) - 4)
        got += head + body
        if head[:1] == b"Z":
            return got


def _exactly(raw: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        ready, _, _ = select.select([raw], [], [], 30)
        assert ready, "the gateway says nothing"
        part = raw.recv(count - len(data))
        assert part, "the gateway closed"
        data += part
    return data
