"""The login at the target: every proof it may ask for, and every way in which it may not be who it should."""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest

from plugins.postgres.tests.talk import AUTH_OK, KEY, READY, error, fixed, fresh, password, startup, target
from plugins.postgres.tests.test_postgres_scram import keys
from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.model import Credential, Principal, Secret, TargetInfo
from recgate.sansio.asks import NEED_DATA, LoggedIn, Login, PeerClosed, Route, Routed, StartTls, TlsDone
from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate_postgres.cancel import CancelRelay
from recgate_postgres.messages import authentication, cstring, message
from recgate_postgres.outbox import Outbox
from recgate_postgres.scram import PLAIN, PLUS, ServerExchange
from recgate_postgres.target_login import Account, TargetLogin, cleaned

SASL = b"\0\0\0\x0a"


def login(info: TargetInfo | None = None, credential: Credential | None = None) -> tuple[TargetLogin, Outbox]:
    outbox = Outbox()
    account = Account(
        credential or Credential("app", Secret("pencil")), {b"user": b"app", b"database": b"db"}, b"\2" * 18
    )
    return TargetLogin(info or target(), account, outbox), outbox


def hear(steps: TargetLogin, data: bytes) -> object:
    steps.reader.feed(data)
    return steps.event()


def sent(outbox: Outbox) -> bytes:
    taken, outbox.upstream = outbox.upstream, []
    return b"".join(taken)


def encrypted(binding: bytes = b"") -> tuple[TargetLogin, Outbox]:
    steps, outbox = login(target(tls="verify-full"))
    assert steps.event() is NEED_DATA
    assert sent(outbox) == struct.pack("!II", 8, 80877103)
    event = hear(steps, b"S")
    assert isinstance(event, StartTls)
    assert event == StartTls(UPSTREAM, server_name="127.0.0.1")
    steps.tls.answer(event, TlsDone(channel_binding=binding))
    assert steps.event() is NEED_DATA
    return steps, outbox


def test_protocol_3_2_is_offered_unless_the_target_cannot_negotiate():
    for options, minor in (({}, 2), ({"max_protocol": "3.0"}, 0)):
        steps, outbox = login(target(**options))
        assert steps.event() is NEED_DATA
        assert sent(outbox)[4:8] == struct.pack("!HH", 3, minor)
        assert hear(steps, message(b"v", struct.pack("!HHI", 3, 0, 0))) is NEED_DATA
        assert hear(steps, AUTH_OK) is None
        assert steps.finished


def test_trust_is_believed():
    steps, _ = login()
    assert hear(steps, AUTH_OK + KEY) is None
    assert steps.reader.take_all() == KEY


def test_md5():
    steps, outbox = login()
    assert hear(steps, authentication(5, b"salt")) is NEED_DATA
    inner = hashlib.md5(b"pencilapp", usedforsecurity=False).hexdigest().encode()
    assert sent(outbox).endswith(
        message(
            b"p", b"md5" + hashlib.md5(inner + b"salt", usedforsecurity=False).hexdigest().encode() + b"\0"
        )
    )


def test_threat_10_a_password_goes_in_the_clear_inside_tls_only():
    steps, outbox = login()
    with pytest.raises(RemoteProtocolError, match="without TLS"):
        hear(steps, authentication(3))
    assert b"pencil" not in sent(outbox)
    steps, outbox = encrypted()
    assert hear(steps, authentication(3)) is NEED_DATA
    assert sent(outbox).endswith(message(b"p", b"pencil\0"))


@pytest.mark.parametrize("binding", [b"", b"\x07" * 32], ids=["plain", "plus"])
def test_scram(binding):
    steps, outbox = encrypted(binding)
    offered = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0" if binding else b"SCRAM-SHA-256\0\0"
    hear(steps, message(b"R", SASL + offered))
    body = sent(outbox).rpartition(b"p\0\0\0")[2][1:]
    mechanism, at = cstring(body, 0, len(body))
    assert mechanism.decode() == (PLUS if binding else PLAIN)
    server = ServerExchange(mechanism.decode(), body[at + 4 :], binding)
    hear(steps, authentication(11, server.challenge(keys())))
    credential, proof = server.verify(sent(outbox)[5:])
    assert credential == "mine"
    assert hear(steps, authentication(12, proof) + AUTH_OK) is None


def challenged() -> TargetLogin:
    steps, outbox = login()
    hear(steps, message(b"R", SASL + b"SCRAM-SHA-256\0\0"))
    body = sent(outbox).rpartition(PLAIN.encode() + b"\0")[2]
    hear(steps, authentication(11, ServerExchange(PLAIN, body[4:], b"").challenge(keys())))
    return steps


def test_threat_10_a_target_that_does_not_prove_itself_gets_no_session():
    with pytest.raises(RemoteProtocolError, match="without proving"):
        hear(challenged(), AUTH_OK)
    wrong = b"v=" + b"A" * 43 + b"="
    with pytest.raises(RemoteProtocolError, match="not the server"):
        hear(challenged(), authentication(12, wrong))


@pytest.mark.parametrize(
    "data",
    [
        authentication(7),  # GSS
        authentication(9),  # SSPI
        authentication(2),  # Kerberos 5
        message(b"R", SASL + b"OAUTHBEARER\0\0"),
        authentication(11, b"r=x,s=AAAA,i=1"),
        authentication(12, b"v=x"),
        message(b"R", SASL + b"SCRAM-SHA-256\0\0") * 2,
        READY,
        b"D\0\0\0\4",
        b"R\0\0\0\3",
        b"R\xff\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        message(b"v", struct.pack("!HHI", 3, 9, 0)),
        message(b"N", b"\0") * 100,
    ],
)
def test_threat_32_what_a_target_must_not_say(data):
    steps, _ = login()
    with pytest.raises(RemoteProtocolError):
        hear(steps, data)


def test_threat_32_an_endless_message_is_not_collected():
    steps, _ = login()
    with pytest.raises(RemoteProtocolError):
        hear(steps, b"E\0\1\0\0" + b"x" * 100)


def test_threat_10_a_target_without_tls_is_refused_unless_told_otherwise():
    steps, outbox = login(target(tls="require"))
    steps.event()
    with pytest.raises(RemoteProtocolError, match=r"options\.tls"):
        hear(steps, b"N")
    assert sent(outbox) == struct.pack("!II", 8, 80877103)


def test_threat_9_a_targets_plaintext_behind_its_answer():
    steps, _ = login(target(tls="require"))
    steps.event()
    with pytest.raises(RemoteProtocolError, match="unencrypted data"):
        hear(steps, b"S" + AUTH_OK)


def test_the_account_is_not_told_to_the_client():
    steps, _ = login()
    with pytest.raises(RemoteProtocolError) as caught:
        hear(steps, error('password authentication failed for user "app"', "28P01"))
    assert "app" not in str(caught.value)
    assert caught.value.hint == "08006"


def test_threat_33_a_targets_words_are_cleaned():
    steps, _ = login()
    with pytest.raises(RemoteProtocolError) as caught:
        hear(steps, error("too many \x1b]0;owned\x07\u202e clients", "53300"))
    assert str(caught.value).isprintable()
    assert caught.value.hint == "53300"
    assert cleaned("a\nb\x9b") == "a\\nb\\x9b"


def test_a_target_that_knows_no_3_2_is_explained():
    steps, _ = login()
    with pytest.raises(RemoteProtocolError, match="max_protocol"):
        hear(steps, error("unsupported frontend protocol 3.2", "0A000"))


def test_an_early_end_is_said():
    steps, _ = login()
    with pytest.raises(RemoteProtocolError, match="closed the connection"):
        hear(steps, b"")


def test_a_lease_without_a_password_says_so():
    steps, _ = login(credential=Credential("app"))
    with pytest.raises(RemoteProtocolError, match="has none"):
        hear(steps, authentication(5, b"salt"))


def routed(info: TargetInfo, credential: Credential | None = None, **parameters: str):
    relay = fresh()
    relay.receive_data(CLIENT, startup(0, **{"user": "alice+prod-db", **parameters}) + password())
    event = relay.next_event(CLIENT)
    assert isinstance(event, Login)
    relay.answer(event, LoggedIn(Principal("local", "1", "alice"), "prod-db"))
    event = relay.next_event(CLIENT)
    assert isinstance(event, Route)
    relay.answer(event, Routed(info, credential or Credential("app", Secret("x")), "0" * 26))
    return relay


def parameters_of(relay) -> dict[str, str]:
    relay.next_event(UPSTREAM)
    packet = b"".join(relay.data_to_send(UPSTREAM))
    words = packet[8:-2].decode().split("\0")
    return dict(zip(words[::2], words[1::2], strict=True))


@pytest.mark.parametrize("asked", ["", "alice+prod-db", "prod-db", "app"])
def test_names_that_mean_the_targets_own_database(asked):
    info = target(database="app", databases=["reports"])
    assert parameters_of(routed(info, **({"database": asked} if asked else {})))["database"] == "app"


def test_other_databases_must_be_listed():
    info = target(database="app", databases=["reports"])
    assert parameters_of(routed(info, database="reports"))["database"] == "reports"
    assert parameters_of(routed(target(databases="*"), database="any"))["database"] == "any"


@pytest.mark.parametrize("asked", ["other", "Reports", "reports ", "APP", "postgres"])
def test_threat_5_other_databases_are_refused(asked):
    relay = routed(target(database="app", databases=["reports"]), database=asked)
    with pytest.raises(RemoteProtocolError, match="is not open on prod-db") as caught:
        relay.next_event(CLIENT)
    assert caught.value.hint == "3D000"
    assert relay.next_event(UPSTREAM) is NEED_DATA
    assert relay.data_to_send(UPSTREAM) == []


def test_the_clients_parameters_go_on_and_its_name_does_not():
    relay = routed(target(), application_name="psql", options="-c geqo=off", client_encoding="SJIS")
    assert parameters_of(relay) == {
        "user": "app",
        "database": "postgres",
        "application_name": "psql",
        "options": "-c geqo=off",
        "client_encoding": "SJIS",
    }


def test_a_tag_carries_the_session():
    shown = parameters_of(
        routed(target(tag=True), application_name="a long name of a program that goes on and on")
    )
    assert shown["application_name"].startswith("recgate " + "0" * 26 + " a long name")
    assert len(shown["application_name"]) <= 63


def test_threat_15_replication_needs_the_targets_allow():
    for wanted in ("true", "database", "1", "on"):
        with pytest.raises(RemoteProtocolError, match="replication is not open") as caught:
            routed(target(), replication=wanted).next_event(CLIENT)
        assert caught.value.hint == "42501"
    assert parameters_of(routed(target(replication=True), replication="true"))["replication"] == "true"
    assert "replication" not in parameters_of(routed(target(), replication="off"))


def test_a_credential_without_a_name_goes_nowhere():
    with pytest.raises(RemoteProtocolError, match="names no user"):
        routed(target(), Credential("", Secret("x"))).next_event(CLIENT)


def test_cancelling_sends_the_targets_own_key_and_waits_for_its_close():
    relay = CancelRelay(target(), b"\0\0\0\7abcd")
    assert b"".join(relay.data_to_send(UPSTREAM)) == struct.pack("!III", 16, 80877102, 7) + b"abcd"
    assert relay.next_event(UPSTREAM) is NEED_DATA
    relay.receive_data(UPSTREAM, b"")
    assert relay.next_event(UPSTREAM) == PeerClosed(UPSTREAM)


def test_cancelling_uses_tls_where_the_session_does():
    relay = CancelRelay(target(tls="verify-full"), b"\0\0\0\7abcd")
    assert b"".join(relay.data_to_send(UPSTREAM)) == struct.pack("!II", 8, 80877103)
    relay.receive_data(UPSTREAM, b"S")
    event = relay.next_event(UPSTREAM)
    assert isinstance(event, StartTls)
    relay.answer(event, TlsDone())
    assert b"".join(relay.data_to_send(UPSTREAM)).endswith(b"abcd")
    with pytest.raises(LocalProtocolError):
        relay.answer(event, TlsDone())


def test_the_nonce_and_keys_come_from_what_is_passed_in():
    assert fixed(3) == b"ZZZ"
    assert hmac.compare_digest(fresh().cancel_key, b"")
