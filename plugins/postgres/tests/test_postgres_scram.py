"""SCRAM against the RFC's own vector, against an independent implementation, and against tampering."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
import scramp

from recgate.errors import RemoteProtocolError
from recgate.model import ScramKeys, Secret
from recgate_postgres.saslprep import saslprep
from recgate_postgres.scram import MAX_ITERATIONS, PLAIN, PLUS, ClientExchange, ServerExchange

PASSWORD = "pencil"
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
BINDING = b"\x01" * 32


def keys(password: str = PASSWORD, *, nonce: str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0") -> ScramKeys:
    """Keys as a store would hold them, behind those of somebody else's token."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), SALT, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return ScramKeys(SALT, 4096, nonce, (("other", bytes(32), bytes(32)), ("mine", stored, server)))


def test_the_rfcs_own_exchange():
    # RFC 7677 §3.
    exchange = ServerExchange(PLAIN, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", b"")
    assert exchange.challenge(keys()) == (
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert exchange.verify(final) == ("mine", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


@pytest.mark.parametrize("binding", [b"", BINDING], ids=["plain", "plus"])
def test_both_ends_agree(binding):
    client = ClientExchange(Secret(PASSWORD), b"\x02" * 18, binding, [PLUS, PLAIN] if binding else [PLAIN])
    server = ServerExchange(client.mechanism, client.first(), binding)
    credential, proof = server.verify(client.final(server.challenge(keys())))
    assert client.mechanism == (PLUS if binding else PLAIN)
    assert credential == "mine"
    assert client.verify(proof)
    assert not client.verify(b"v=" + base64.b64encode(bytes(32)))


def test_a_wrong_password_matches_no_key():
    client = ClientExchange(Secret("pen"), b"\x02" * 18, b"", [PLAIN])
    server = ServerExchange(PLAIN, client.first(), b"")
    assert server.verify(client.final(server.challenge(keys()))) == ("", b"")


@pytest.mark.parametrize("password", [PASSWORD, "pässword", "a\u00adb\u2168"])
def test_an_independent_client_agrees_with_our_server(password):
    client = scramp.ScramClient([PLAIN], "user", password)
    server = ServerExchange(PLAIN, client.get_client_first().encode(), b"")
    client.set_server_first(server.challenge(keys(saslprep(password.encode()).decode())).decode())
    credential, proof = server.verify(client.get_client_final().encode())
    assert credential == "mine"
    client.set_server_final(proof.decode())


@pytest.mark.parametrize(
    ("mechanism", "first", "binding"),
    [
        (PLAIN, b"y,,n=,r=abc", BINDING),  # the offer of -PLUS was taken away on the way
        (PLUS, b"n,,n=,r=abc", BINDING),
        (PLUS, b"p=tls-unique,,n=,r=abc", BINDING),
        (PLUS, b"p=tls-server-end-point,,n=,r=abc", b""),
        (PLAIN, b"p=tls-server-end-point,,n=,r=abc", BINDING),
        (PLAIN, b"n,a=root,n=,r=abc", b""),
        (PLAIN, b"n,,m=x,n=,r=abc", b""),
        (PLAIN, b"n,,n=,r=", b""),
        (PLAIN, b"n,,n=,r=a\xff", b""),
        (PLAIN, b"n,,n=,r=" + b"a" * 5_000, b""),
        ("SCRAM-SHA-1", b"n,,n=,r=abc", b""),
    ],
)
def test_threat_10_bad_first_messages_and_downgrades(mechanism, first, binding):
    with pytest.raises(RemoteProtocolError):
        ServerExchange(mechanism, first, binding)


def test_threat_3_the_final_message_must_be_of_this_exchange():
    client = ClientExchange(Secret(PASSWORD), b"\x02" * 18, BINDING, [PLUS])
    server = ServerExchange(PLUS, client.first(), BINDING)
    final = client.final(server.challenge(keys()))
    other = ServerExchange(PLUS, client.first(), b"\x09" * 32)
    other.challenge(keys())
    with pytest.raises(RemoteProtocolError):
        other.verify(final)
    with pytest.raises(RemoteProtocolError):
        server.verify(final.replace(b"r=", b"r=x"))
    with pytest.raises(RemoteProtocolError):
        server.verify(b"c=biws")


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=other,s=AAAA,i=4096",
        b"r=" + base64.b64encode(b"\x02" * 18) + b",s=AAAA,i=4096",
        b"r=" + base64.b64encode(b"\x02" * 18) + b"x,s=AAAA,i=%d" % (MAX_ITERATIONS + 1),
        b"r=" + base64.b64encode(b"\x02" * 18) + b"x,s=A,i=4096",
        b"e=other-error",
    ],
)
def test_threat_32_a_targets_challenge_is_checked_before_work_is_done(challenge):
    client = ClientExchange(Secret(PASSWORD), b"\x02" * 18, b"", [PLAIN])
    with pytest.raises(RemoteProtocolError):
        client.final(challenge)


def test_no_mechanism_in_common():
    with pytest.raises(RemoteProtocolError, match="OAUTHBEARER"):
        ClientExchange(Secret(PASSWORD), b"", b"", ["OAUTHBEARER"])


@pytest.mark.parametrize(
    ("raw", "prepared"),
    [
        ("I\u00adX", "IX"),  # RFC 4013 §3
        ("user", "user"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("\u0007x", "\u0007x"),  # prohibited: as the server does, it is taken as it is
        ("\u0627\u0031", "\u0627\u0031"),
        ("a\u00a0b", "a b"),
    ],
)
def test_saslprep(raw, prepared):
    assert saslprep(raw.encode()) == prepared.encode()


def test_what_is_no_utf8_is_taken_as_it_is():
    assert saslprep(b"\xff\xfe") == b"\xff\xfe"
