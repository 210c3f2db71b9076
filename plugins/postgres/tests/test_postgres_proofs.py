"""Ways to prove who one is that are no password: bearer tokens, TLS certificates, a tunnel's word."""

from __future__ import annotations

import json
import struct

import pytest
from pydantic import ValidationError

from plugins.postgres.tests.talk import AUTH_OK, ISSUER, asked, fresh, password, startup
from recgate.errors import RemoteProtocolError
from recgate.model import (
    BearerEvidence,
    Principal,
    Secret,
    TlsCertificateEvidence,
    Voucher,
    VoucherEvidence,
)
from recgate.sansio.asks import NEED_DATA, Denied, LoggedIn, Login, Route, StartTls, TlsDone
from recgate.sansio.frames import CLIENT
from recgate_postgres.messages import message
from recgate_postgres.options import PostgresListener

SSL = struct.pack("!II", 8, 80877103)
ALICE = Principal("idp", "1", "alice")
IN = LoggedIn(ALICE, "prod-db")


def said(relay):
    return b"".join(relay.data_to_send(CLIENT))


def initial(text, mechanism=b"OAUTHBEARER"):
    return message(b"p", mechanism + b"\0" + struct.pack("!I", len(text)) + text)


def offering():
    relay = fresh("oauth")
    relay.receive_data(CLIENT, startup(user="prod-db"))
    assert relay.next_event(CLIENT) is NEED_DATA
    assert said(relay) == message(b"R", struct.pack("!I", 10) + b"OAUTHBEARER\0\0")
    return relay


# -- RFC 7628 ----------------------------------------------------------------------------------------------


def test_a_bearer_token_is_asked_for_and_taken():
    relay = offering()
    relay.receive_data(CLIENT, initial(b"n,,\x01auth=Bearer abc\x01\x01"))
    login = asked(relay)
    assert login == Login("prod-db", BearerEvidence(Secret("abc")))
    relay.answer(login, IN)
    assert said(relay) == AUTH_OK
    assert isinstance(relay.next_event(CLIENT), Route)


def test_a_client_without_a_token_is_told_where_to_get_one():
    relay = offering()
    relay.receive_data(CLIENT, initial(b"n,,\x01auth=\x01\x01"))
    assert relay.next_event(CLIENT) is NEED_DATA
    answer = said(relay)
    assert answer[:9] == b"R" + struct.pack("!II", len(answer) - 1, 11)
    assert json.loads(answer[9:])["openid-configuration"] == f"{ISSUER}/.well-known/openid-configuration"
    relay.receive_data(CLIENT, message(b"p", b"\x01"))
    with pytest.raises(RemoteProtocolError, match="a bearer token is needed") as refused:
        relay.next_event(CLIENT)
    assert refused.value.hint == "28000"


def test_a_refused_token_is_refused_in_the_mechanisms_words_first():
    relay = offering()
    relay.receive_data(CLIENT, initial(b"n,,\x01auth=Bearer abc\x01\x01"))
    relay.answer(asked(relay), Denied("authentication failed", "authentication"))
    answer = said(relay)
    assert b'"status":"invalid_token"' in answer
    assert answer.startswith(b"R")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (initial(b"n,,\x01auth=Bearer abc\x01\x01", b"SCRAM-SHA-256"), "invalid SASL"),
        (initial(b"n,,nonsense"), "malformed OAUTHBEARER"),
        (message(b"p", b"OAUTHBEARER\0\0\0\0\x09n,,"), "invalid SASLInitialResponse"),
        (startup(user="prod-db"), "expected an answer"),
    ],
)
def test_threat_3_what_is_no_such_message_is_refused(body, reason):
    relay = offering()
    relay.receive_data(CLIENT, body)
    with pytest.raises(RemoteProtocolError, match=reason):
        relay.next_event(CLIENT)


def test_an_acknowledgement_that_is_none_is_refused():
    relay = offering()
    relay.receive_data(CLIENT, initial(b"n,,\x01auth=\x01\x01") + password("abc"))
    with pytest.raises(RemoteProtocolError, match="acknowledgement"):
        relay.next_event(CLIENT)


def test_threat_10_no_bearer_token_is_asked_for_in_the_clear():
    relay = fresh("oauth", loopback=False)
    relay.receive_data(CLIENT, startup(user="prod-db"))
    with pytest.raises(RemoteProtocolError, match="only inside TLS"):
        relay.next_event(CLIENT)


@pytest.mark.parametrize(
    "keys",
    [
        {"auth": "oauth"},
        {"auth": "password", "issuer": ISSUER},
        {"auth": "oauth", "issuer": "http://idp.example"},
        {"auth": "oauth", "issuer": "http://localhost.example"},
        {"auth": "oauth", "issuer": "https://"},
    ],
)
def test_where_to_sign_in_is_said_with_oauth_alone_and_is_safe(keys):
    with pytest.raises(ValidationError):
        PostgresListener.model_validate(keys)


# -- TLS certificates ----------------------------------------------------------------------------------------


def test_a_certificate_is_asked_for_and_taken():
    relay = fresh("certificate", tls_mode="require")
    relay.receive_data(CLIENT, SSL)
    ask = asked(relay)
    assert ask == StartTls(CLIENT, ask_certificate=True)
    relay.answer(ask, TlsDone(peer_certificate=b"DER"))
    relay.receive_data(CLIENT, startup(user="prod-db"))
    login = asked(relay)
    assert login == Login("prod-db", TlsCertificateEvidence(b"DER"))
    assert said(relay) == b"S"
    relay.answer(login, IN)
    assert said(relay) == AUTH_OK


def test_direct_tls_asks_for_a_certificate_too():
    relay = fresh("certificate", tls_mode="require")
    relay.receive_data(CLIENT, b"\x16\x03\x01hello")
    ask = asked(relay)
    assert isinstance(ask, StartTls)
    assert ask.ask_certificate


@pytest.mark.parametrize("encrypted", [True, False])
def test_whoever_has_no_certificate_is_told_so(encrypted):
    relay = fresh("certificate")
    if encrypted:
        relay.receive_data(CLIENT, SSL)
        relay.answer(asked(relay), TlsDone())
    relay.receive_data(CLIENT, startup(user="prod-db"))
    with pytest.raises(RemoteProtocolError, match="sslcert and sslkey"):
        relay.next_event(CLIENT)


# -- tunnels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["password", "scram", "oauth", "certificate"])
def test_a_tunnel_vouches_and_nothing_is_asked(auth):
    relay = fresh(auth, loopback=False, voucher=Voucher(ALICE, "prod-db"))
    relay.receive_data(CLIENT, startup(user="prod-db"))
    login = asked(relay)
    assert login == Login("prod-db", VoucherEvidence())
    assert said(relay) == b""
    relay.answer(login, IN)
    assert said(relay) == AUTH_OK
