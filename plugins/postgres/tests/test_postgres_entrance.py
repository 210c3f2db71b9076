"""The client's way in, and what is tried there."""

from __future__ import annotations

import struct

import pytest

from plugins.postgres.tests.talk import AUTH_OK, asked, fresh, password, startup
from recgate.errors import LocalProtocolError, RemoteProtocolError
from recgate.model import PasswordEvidence, Principal, ScramEvidence, ScramKeys, Secret
from recgate.sansio.asks import (
    NEED_DATA,
    PAUSED,
    Cancel,
    Denied,
    LoggedIn,
    Login,
    PeerClosed,
    Route,
    ScramLookedUp,
    ScramLookup,
    StartTls,
    TlsDone,
)
from recgate.sansio.frames import CLIENT
from recgate_postgres.messages import fields_of, message
from recgate_postgres.scram import PLAIN, ClientExchange

SSL, GSS = struct.pack("!II", 8, 80877103), struct.pack("!II", 8, 80877104)
ALICE = LoggedIn(Principal("local", "1", "alice"), "prod-db")
BINDING = b"\x07" * 32


def said(relay):
    return b"".join(relay.data_to_send(CLIENT))


def test_ssl_request_then_tls_then_password():
    relay = fresh(tls_mode="require")
    relay.receive_data(CLIENT, SSL)
    event = asked(relay)
    assert event == StartTls(CLIENT)
    assert said(relay) == b"S"
    assert relay.next_event(CLIENT) is PAUSED
    relay.answer(event, TlsDone())
    relay.receive_data(CLIENT, startup(user="prod-db"))
    assert relay.next_event(CLIENT) is NEED_DATA
    assert said(relay) == message(b"R", b"\0\0\0\3")
    relay.receive_data(CLIENT, password("token"))
    assert relay.next_event(CLIENT) == Login("prod-db", PasswordEvidence(Secret("token")))


def test_direct_tls_is_fed_to_the_handshake_and_needs_alpn():
    relay = fresh(tls_mode="require")
    relay.receive_data(CLIENT, b"\x16\x03\x01hello")
    assert relay.next_event(CLIENT) == StartTls(
        CLIENT, b"\x16\x03\x01hello", replay=True, alpn=("postgresql",), alpn_required=True
    )
    assert said(relay) == b""


def test_gss_is_declined_and_tls_may_follow():
    relay = fresh(tls_mode="require")
    relay.receive_data(CLIENT, GSS + SSL)
    assert isinstance(relay.next_event(CLIENT), StartTls)
    assert said(relay) == b"NS"


def test_a_listener_without_tls_declines():
    relay = fresh(tls_mode="off", auth="scram")
    relay.receive_data(CLIENT, SSL + startup(user="alice+prod-db"))
    assert relay.next_event(CLIENT) is NEED_DATA
    assert said(relay) == b"N" + message(b"R", struct.pack("!I", 10) + PLAIN.encode() + b"\0\0")


@pytest.mark.parametrize("behind", [b"\0", startup(user="x"), SSL], ids=["byte", "startup", "ssl"])
def test_threat_9_plaintext_behind_an_ssl_request(behind):
    relay = fresh(tls_mode="require")
    relay.receive_data(CLIENT, SSL + behind)
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)
    assert said(relay) == b""


def test_threat_9_plaintext_that_comes_while_tls_begins():
    relay = fresh(tls_mode="require")
    relay.receive_data(CLIENT, SSL)
    event = asked(relay)
    relay.receive_data(CLIENT, startup(user="x"))
    with pytest.raises(LocalProtocolError):
        relay.answer(event, TlsDone())


@pytest.mark.parametrize("second", [SSL, GSS, b"\x16\x03\x01hello"], ids=["ssl", "gss", "hello"])
def test_threat_3_encryption_is_asked_for_once(second):
    relay = fresh(tls_mode="require")
    relay.receive_data(CLIENT, SSL)
    relay.answer(asked(relay), TlsDone())
    relay.receive_data(CLIENT, second)
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)


def test_threat_3_a_second_startup_message_is_no_password():
    relay = fresh()
    relay.receive_data(CLIENT, startup(user="prod-db") + startup(user="other-db"))
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)


def test_threat_2_and_3_scram_once_begun_is_not_begun_again():
    relay = fresh(auth="scram")
    client = ClientExchange(Secret("x"), b"\1" * 18, b"", [PLAIN])
    first = PLAIN.encode() + b"\0" + struct.pack("!I", len(client.first())) + client.first()
    relay.receive_data(CLIENT, startup(user="alice+prod-db") + message(b"p", first))
    event = asked(relay)
    assert event == ScramLookup("alice+prod-db")
    relay.answer(event, ScramLookedUp(ScramKeys(b"salt", 4096, "nonce")))
    relay.receive_data(CLIENT, startup(user="bob+prod-db"))
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)
    relay = fresh(auth="scram")
    relay.receive_data(CLIENT, startup(user="alice+prod-db") + message(b"p", first))
    relay.answer(asked(relay), ScramLookedUp(ScramKeys(b"salt", 4096, "nonce")))
    relay.receive_data(CLIENT, message(b"p", first))
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)


def test_a_proof_that_fits_no_key_is_counted_by_the_core_and_never_let_in():
    relay = fresh(auth="scram")
    client = ClientExchange(Secret("x"), b"\1" * 18, b"", [PLAIN])
    first = PLAIN.encode() + b"\0" + struct.pack("!I", len(client.first())) + client.first()
    relay.receive_data(CLIENT, startup(user="alice+prod-db") + message(b"p", first))
    relay.answer(
        asked(relay),
        ScramLookedUp(ScramKeys(b"salt", 4096, "nonce", (("t", b"k" * 32, b"s" * 32),))),
    )
    challenge = said(relay).rpartition(b"\0\0\0\x0b")[2]
    relay.receive_data(CLIENT, message(b"p", client.final(challenge)))
    event = asked(relay)
    assert event == Login("alice+prod-db", ScramEvidence(""))
    with pytest.raises(LocalProtocolError):
        relay.answer(event, ALICE)
    assert AUTH_OK not in said(relay)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tls_mode": "require"}, "takes only TLS"),
        ({"tls_mode": "allow", "loopback": False}, "only inside TLS"),
        ({"tls_mode": "off"}, "only inside TLS"),
    ],
)
def test_threat_10_no_password_is_asked_for_in_the_clear(fields, reason):
    relay = fresh(**fields)
    relay.receive_data(CLIENT, startup(user="prod-db") + password())
    with pytest.raises(RemoteProtocolError, match=reason) as caught:
        relay.next_event(CLIENT)
    assert caught.value.hint == "28000"
    assert said(relay) == b""


@pytest.mark.parametrize(
    "name", ["Prod-DB", "prod-db ", " prod-db", "prod-dB", "\u0440rod-db", "alice+ prod-db", "Alice+prod-db"]
)
def test_threat_5_names_are_passed_on_as_they_came(name):
    relay = fresh()
    relay.receive_data(CLIENT, startup(user=name) + password())
    event = asked(relay)
    assert isinstance(event, Login)
    assert event.name == name


@pytest.mark.parametrize(
    "packet",
    [
        startup(database="x"),
        struct.pack("!IHH", 9, 2, 0) + b"\0",
        struct.pack("!IHH", 9, 3, 0) + b"x",
        struct.pack("!IHH", 19, 3, 0) + b"user\0a\0odd\0",
        struct.pack("!IHH", 23, 3, 0) + b"user\0a\0user\0b\0\0",
        struct.pack("!IHH", 16, 3, 0) + b"user\0\xff\0\0",
        struct.pack("!I", 7) + bytes(4),
        struct.pack("!I", 0xFFFFFFFF) + bytes(4),
        struct.pack("!I", 10_001) + bytes(4),
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!II", 12, 80877103) + bytes(4),
        struct.pack("!III", 12, 80877102, 7),
    ],
)
def test_threat_32_packets_that_cannot_be(packet):
    relay = fresh()
    relay.receive_data(CLIENT, packet)
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)


@pytest.mark.parametrize("body", [b"", b"no end", b"a\0b\0"])
def test_password_packets_that_cannot_be(body):
    relay = fresh()
    relay.receive_data(CLIENT, startup(user="prod-db") + message(b"p", body))
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)


def test_threat_12_whoever_is_slow_costs_nothing_and_asks_nothing():
    relay = fresh()
    packet = startup(user="prod-db") + password()
    for at in range(len(packet) - 1):
        relay.receive_data(CLIENT, packet[at : at + 1])
        assert relay.next_event(CLIENT) is NEED_DATA
    relay.receive_data(CLIENT, b"")
    assert relay.next_event(CLIENT) == PeerClosed(CLIENT)


def test_threat_12_what_is_sent_ahead_is_bounded():
    relay = fresh()
    relay.receive_data(CLIENT, startup(user="prod-db") + password())
    relay.next_event(CLIENT)
    for _ in range(17):
        relay.receive_data(CLIENT, bytes(65_536))
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)


def test_a_newer_minor_version_and_unknown_options_are_negotiated():
    relay = fresh()
    relay.receive_data(CLIENT, startup(9999, user="prod-db", **{"_pq_.shiny": "1"}))
    assert relay.next_event(CLIENT) is NEED_DATA
    assert said(relay).startswith(message(b"v", struct.pack("!HHI", 3, 2, 1) + b"_pq_.shiny\0"))


@pytest.mark.parametrize("minor", [0, 1, 2])
def test_known_minor_versions_are_not_negotiated(minor):
    relay = fresh()
    relay.receive_data(CLIENT, startup(minor, user="prod-db"))
    relay.next_event(CLIENT)
    assert said(relay)[:1] == b"R"


@pytest.mark.parametrize("key", [b"abcd", b"k" * 32])
def test_a_cancel_request_comes_in_plain_and_gets_no_answer(key):
    relay = fresh(tls_mode="require")
    relay.receive_data(CLIENT, struct.pack("!III", 12 + len(key), 80877102, 7) + key)
    assert relay.next_event(CLIENT) == Cancel(b"\0\0\0\7" + key)
    assert relay.farewell(Denied("no such session")) is None
    assert said(relay) == b""


def test_notices_are_possible_as_soon_as_somebody_is_known():
    relay = fresh()
    relay.receive_data(CLIENT, startup(user="prod-db", database="app", application_name="psql") + password())
    event = asked(relay)
    assert relay.notice("x") is None
    relay.answer(event, ALICE)
    event = asked(relay)
    assert event == Route(
        "prod-db", {"database": "app", "login": "prod-db", "protocol": "3.0", "application_name": "psql"}
    )
    assert relay.notice("alice's manager must approve") is not None
    assert said(relay).endswith(AUTH_OK)


def test_a_denial_is_worded_for_the_client():
    relay = fresh()
    relay.receive_data(CLIENT, startup(user="prod-db") + password())
    denied = Denied("authentication failed", "authentication")
    relay.answer(asked(relay), denied)
    words = relay.farewell(denied)
    assert isinstance(words, bytes)
    assert fields_of(words[5:])["C"] == b"28P01"
    with pytest.raises(RemoteProtocolError):
        relay.next_event(CLIENT)


def test_an_answer_must_fit_its_ask():
    relay = fresh()
    relay.receive_data(CLIENT, startup(user="prod-db") + password())
    event = asked(relay)
    with pytest.raises(LocalProtocolError):
        relay.answer(Login("prod-db", PasswordEvidence(Secret("other"))), ALICE)
    with pytest.raises(LocalProtocolError):
        relay.answer(event, TlsDone())


def test_channel_binding_is_offered_where_there_is_one():
    relay = fresh(auth="scram", tls_mode="require")
    relay.receive_data(CLIENT, SSL)
    relay.answer(asked(relay), TlsDone(channel_binding=BINDING))
    relay.receive_data(CLIENT, startup(user="alice+prod-db"))
    relay.next_event(CLIENT)
    assert b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0" in said(relay)
