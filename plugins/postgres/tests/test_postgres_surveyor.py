"""Reading a catalog over the wire: from real servers in any chunks, and from one that says something else."""

from __future__ import annotations

import os
import socket

import pytest

from plugins.postgres.tests.gate import _Wire
from plugins.postgres.tests.surveying import snapshot
from recgate.errors import RecgateError, RemoteProtocolError
from recgate.model import Credential, Secret, TargetInfo
from recgate.sansio.asks import NEED_DATA, PeerClosed, StartTls, TlsDone
from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate.tls import channel_binding, client_context
from recgate_postgres.messages import error_response, message
from recgate_postgres.options import PostgresTarget
from recgate_postgres.origin import surveyor as surveying
from recgate_postgres.origin.queries import SECTIONS
from recgate_postgres.origin.snapshot import Snapshot, UnreadableCatalog
from recgate_postgres.origin.surveyor import CatalogSurveyor
from tests.peers.postgres import PASSWORD, Cluster

LENT = Credential("scram_user", Secret(PASSWORD))


def target(cluster: Cluster) -> TargetInfo:
    ca = cluster.authority.path if cluster.tls else None
    options = PostgresTarget(tls="verify-full" if cluster.tls else "disable", ca=ca)
    return TargetInfo("prod", "postgres", "127.0.0.1", cluster.port, options, {}, "")


def read(cluster: Cluster, lent: Credential = LENT, database: str = "postgres", chunk: int = 0) -> Snapshot:
    """Drive a surveyor as the core does, over blocking sockets."""
    info = target(cluster)
    surveyor = CatalogSurveyor(info, lent, database, os.urandom(18))
    assert isinstance(info.options, PostgresTarget)
    with socket.create_connection((info.host, info.port), 30) as sock:
        wire = _Wire(sock)
        while True:
            event = surveyor.next_event(UPSTREAM)
            if chunks := list(surveyor.data_to_send(UPSTREAM)):
                wire.write(chunks)
            if event is NEED_DATA:
                data = wire.read()
                if data is None:
                    continue
                size = chunk or len(data) or 1
                for at in range(0, len(data) or 1, size):
                    surveyor.receive_data(UPSTREAM, data[at : at + size])
                    if at + size < len(data):
                        assert surveyor.next_event(UPSTREAM) is NEED_DATA
            elif isinstance(event, StartTls):
                context = client_context("verify-full", ca=info.options.ca, credential=lent)
                assert context is not None
                wire.start_tls(context, server_side=False, name=event.server_name)
                assert wire.tls is not None
                der = wire.tls.getpeercert(binary_form=True) or b""
                surveyor.answer(event, TlsDone("", channel_binding(der), der))
            else:
                assert event == PeerClosed(UPSTREAM)
                return surveyor.finding()


@pytest.fixture(params=["debian", "wheel"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    found: Cluster = request.getfixturevalue(request.param)
    return found


def test_it_is_what_any_client_would_read(cluster: Cluster) -> None:
    assert read(cluster).generation == snapshot(cluster).generation


def test_it_may_come_in_any_pieces(wheel: Cluster) -> None:
    assert read(wheel, chunk=7).generation == snapshot(wheel).generation


@pytest.mark.parametrize(
    ("lent", "database", "words"),
    [
        (Credential("scram_user", Secret("wrong")), "postgres", "refused the leased credential"),
        (Credential("scram_user"), "postgres", "the leased credential has none"),
        (Credential(), "postgres", "names no user"),
        (LENT, "nowhere", "does not exist"),
    ],
)
def test_a_login_that_fails_says_why_and_no_secret(
    cluster: Cluster, lent: Credential, database: str, words: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        read(cluster, lent, database)
    assert "wrong" not in str(caught.value)


def test_a_role_that_may_not_see_the_catalog_gives_none(cluster: Cluster) -> None:
    cluster.psql("revoke select on pg_catalog.pg_class from public")
    try:
        with pytest.raises(RemoteProtocolError, match="42501: permission denied for"):
            read(cluster)
    finally:
        cluster.psql("grant select on pg_catalog.pg_class to public")


OK = message(b"R", bytes(4))
READY = message(b"Z", b"I")


def row(text: bytes) -> bytes:
    return message(b"D", b"\0\1" + len(text).to_bytes(4) + text)


def heard(*said: bytes) -> object:
    """Give what a surveyor makes of a server that says this."""
    info = TargetInfo("prod", "postgres", "127.0.0.1", 1, PostgresTarget(tls="disable"), {}, "")
    surveyor = CatalogSurveyor(info, LENT, "postgres", bytes(18))
    assert surveyor.next_event(CLIENT) is NEED_DATA
    assert surveyor.next_event(UPSTREAM) is NEED_DATA
    surveyor.receive_data(UPSTREAM, b"".join(said))
    surveyor.receive_data(UPSTREAM, b"")
    event = surveyor.next_event(UPSTREAM)
    assert event == PeerClosed(UPSTREAM)
    return surveyor.finding()


T, C = message(b"T", bytes(2)), message(b"C", b"SELECT 0\0")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((), "closed the connection during the login"),
        ((OK, READY), "closed the connection while its catalog"),
        ((OK, READY, READY), "did not answer everything"),
        ((OK, READY, (T + C) * (len(SECTIONS) + 1)), "answered what was not asked"),
        ((OK, T), "of type b'T'"),
        ((OK, READY, row(b"x")), "of type b'D'"),
        ((OK, READY, T, message(b"D", b"\0\2" + bytes(8))), "other rows"),
        ((OK, READY, T, message(b"D", b"\0\1" + b"\xff" * 4)), "other rows"),
        ((OK, READY, T, message(b"D", b"\0\1\0\0\0\x09x")), "other rows"),
        ((OK, READY, T, b"D\x7f\xff\xff\xff"), "too long"),
        ((OK, READY, T, b"D\0\0\0\x03"), "too long"),
        ((OK, READY, message(b"G", bytes(3))), "of type b'G'"),
        ((OK, READY, error_response("42501", "no\x1b[2J")), r"said 42501: no\\x1b\[2J"),
    ],
)
def test_a_server_that_says_something_else_gives_no_catalog(said: tuple[bytes, ...], words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        heard(*said)


def test_rows_without_sense_give_no_catalog() -> None:
    with pytest.raises(UnreadableCatalog):
        heard(OK, READY, *[T + row(b"\xff") + C] * len(SECTIONS), READY)


def test_there_may_be_only_so_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "MAX_ROWS", 10)
    with pytest.raises(RemoteProtocolError, match="or more, than"):
        heard(OK, READY, T, row(b"[]") * 11)


def test_garbage_is_a_protocol_error_and_nothing_else() -> None:
    for seed in range(300):
        noise = bytes((seed * 7 + at * at * (seed + 3)) & 255 for at in range(200))
        with pytest.raises(RecgateError):
            heard(OK, READY, T, noise)
