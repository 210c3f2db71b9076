"""A token is taken apart in one way or not at all."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate_oidc.errors import TokenBroken, TokenRefused
from recgate_oidc.jose import CUT, MAX_TOKEN, looks_cut, take_apart
from tests.peers.oidcprovider import encoded


def compact(header=b'{"alg":"RS256"}', claims=b'{"sub":"alice"}', signature=b"s" * 8):
    return ".".join(map(encoded, (header, claims, signature))).encode()


def test_the_parts():
    found = take_apart(compact(b'{"alg":"RS256","kid":"k"}', b'{"sub":"alice","n":1.5}'))

    assert found is not None
    assert found.word("kid") == "k"
    assert found.word("typ") == ""
    assert found.claims == {"sub": "alice", "n": 1.5}
    assert "alice" not in repr(found)


@pytest.mark.parametrize(
    "header", [b'{"alg":1}', b'{ "alg":1}', b'{\n"alg":1}', b'{\r\n"alg":1}', b'{\t"alg":1}']
)
def test_a_header_may_begin_with_blanks(header):
    assert take_apart(compact(header)) is not None


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"rg_0123456789",
        b"correct horse battery staple",
        b"a.b.c",
        b"10.0.0.1",
        b"eyJhbGciOiJub25lIn0",
        b"eyJhbGciOiJub25lIn0.e30",
        compact() + b".",
        compact() + b"\n",
        b" " + compact(),
        compact() + b".x.y",  # encrypted, RFC 7516: five parts
        compact().replace(b".", b"..", 1),
        compact().replace(b"A", b"+", 1).replace(b"I", b"/", 1),
        "eyJ\u0430.e30.e30".encode(),
    ],
)
def test_what_is_no_signed_token(text):
    assert take_apart(text) is None


@pytest.mark.parametrize(
    "claims",
    [
        b'{"sub":"alice","sub":"root"}',
        b'{"sub":"alice","s\\u0075b":"root"}',
        b'{"groups":{"a":1,"a":2}}',
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":1e999}',
    ],
)
def test_what_two_readers_could_read_differently_is_refused(claims):
    with pytest.raises(TokenRefused, match="more than one way"):
        take_apart(compact(claims=claims))
    with pytest.raises(TokenRefused, match="more than one way"):
        take_apart(compact(header=claims))


@pytest.mark.parametrize(
    "claims",
    [
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{",
        b'{"a":\xff}',
        b'{"a":' + b"9" * 5_000 + b"}",
        b'\xef\xbb\xbf{"a":1}',
    ],
)
def test_claims_that_are_no_json_object_are_refused(claims):
    with pytest.raises(TokenRefused):
        take_apart(compact(claims=claims))


@pytest.mark.parametrize("depth", [17, 1_000, 6_000])
@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_bounded(depth, left, right):
    claims = b'{"a":' + left * depth + b"1" + right * depth + b"}"
    if len(compact(claims=claims)) > MAX_TOKEN:
        claims = claims[: MAX_TOKEN // 2]

    with pytest.raises(TokenRefused):
        take_apart(compact(claims=claims))


def test_a_token_has_one_spelling():
    token = compact(signature=b"s")
    assert take_apart(token) is not None

    for spelling in (token[:-1] + b"x", token + b"="):
        found = None
        try:
            found = take_apart(spelling)
        except TokenBroken:
            continue
        assert found is None


def test_an_oversized_token_is_refused_before_it_is_read():
    with pytest.raises(TokenRefused, match="longer than"):
        take_apart(compact(claims=json.dumps({"groups": ["g" * 100] * 200}).encode()))
    assert take_apart(b"x" * (MAX_TOKEN + 1)) is None


def test_what_opensshs_limit_leaves():
    whole = compact(claims=json.dumps({"groups": ["g" * 1_000] * 2}).encode())

    assert looks_cut(whole[:CUT])
    assert not looks_cut(whole[: CUT - 1])
    assert not looks_cut(whole[: CUT + 1])
    assert not looks_cut(b"x" * CUT)
    assert not looks_cut(b"ey" + b" " * (CUT - 2))


@given(st.binary(max_size=200))
def test_garbage_is_none_or_refused(data):
    with contextlib.suppress(TokenRefused):
        assert take_apart(data) is None


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=20))
def test_garbage_in_the_right_shape_is_refused(header, claims, signature):
    try:
        found = take_apart(compact(b"{" + header, claims, signature))
    except TokenRefused:
        return
    assert found is None or isinstance(found.claims, dict)
