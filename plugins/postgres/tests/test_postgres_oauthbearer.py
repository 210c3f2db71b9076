"""The client's first message of OAUTHBEARER, as RFC 7628 has it and as it must not be."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import RemoteProtocolError
from recgate.model import Secret
from recgate_postgres.oauthbearer import parse_initial, where_to_sign_in

TOKEN = b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


@pytest.mark.parametrize(
    "message",
    [
        b"n,,\x01auth=Bearer " + TOKEN + b"\x01\x01",
        b"y,,\x01host=db.example\x01port=5432\x01auth=bearer  " + TOKEN + b"\x01\x01",
    ],
)
def test_a_token_is_taken_out(message):
    assert parse_initial(message) == Secret(TOKEN)


def test_an_empty_auth_asks_where_to_sign_in():
    assert parse_initial(b"n,,\x01auth=\x01\x01") is None
    said = json.loads(where_to_sign_in("https://idp.example/realm/", "openid db"))
    assert said == {
        "status": "invalid_token",
        "scope": "openid db",
        "openid-configuration": "https://idp.example/realm/.well-known/openid-configuration",
    }


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,",
        b"n,\x01auth=Bearer x\x01\x01",
        b"p=tls-server-end-point,,\x01auth=Bearer x\x01\x01",
        b"z,,\x01auth=Bearer x\x01\x01",
        b"n,a=bob,\x01auth=Bearer x\x01\x01",
        b"n,,auth=Bearer x\x01\x01",
        b"n,,\x01auth=Bearer x\x01",
        b"n,,\x01auth=Bearer x\x01\x01\x01",
        b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
        b"n,,\x01host=x\x01\x01",
        b"n,,\x01auth=Basic eDp5\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Bearer a b\x01\x01",
        b"n,,\x01auth=Bearer x\0\x01\x01",
        b"n,,\x01auth=Bearer x=y\x01\x01",
        b"n,,\x01\x01",
    ],
)
def test_anything_else_is_malformed_and_not_quoted(message):
    with pytest.raises(RemoteProtocolError) as refused:
        parse_initial(message)
    assert "Bearer" not in str(refused.value)


@given(st.binary(max_size=200))
def test_garbage_gives_a_protocol_error_or_a_secret(message):
    with contextlib.suppress(RemoteProtocolError):
        assert parse_initial(message) is None or isinstance(parse_initial(message), Secret)
