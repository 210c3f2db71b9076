"""Control messages: each means one thing, and garbage is the peer's error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import RemoteProtocolError
from recgate_agent.messages import MAX_MESSAGE, WELCOME, Challenge, Dial, Failed, Proof, is_welcome
from recgate_agent.proof import encoded

STREAM = encoded(b"s" * 32)
DIAL = Dial(STREAM, "prod-db", "db.internal", 5432, 8.0)
PARSERS = [Challenge.parse, Proof.parse, Dial.parse, Failed.parse, is_welcome]


def test_what_is_written_is_read() -> None:
    for each in (Challenge("gate", b"n" * 32), Proof("relay", b"s" * 64), DIAL, Failed(STREAM, "no route")):
        assert type(each).parse(each.as_bytes()) == each
        assert len(each.as_bytes()) < MAX_MESSAGE
    assert is_welcome(WELCOME)
    assert not is_welcome(DIAL.as_bytes())


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"\xff", b"{" * 4000, b"{" + b" " * MAX_MESSAGE + b"}"])
def test_garbage_is_the_peers_error(parse: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(data)


@given(st.sampled_from(PARSERS), st.binary(max_size=300) | st.builds(lambda d: json.dumps(d).encode(), st.dictionaries(
    st.sampled_from(["do", "id", "failed", "why", "agent", "nonce", "port", "within", "target", "host", "version"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.lists(st.integers()),
)))  # fmt: skip
def test_whatever_comes_is_read_or_refused(parse: Callable[[bytes], object], data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parse(data)


@pytest.mark.parametrize(
    "change",
    [
        {"do": "listen"},
        {"id": "../control"},
        {"target": "Prod"},
        {"target": 7},
        {"host": ""},
        {"host": "x" * 256},
        {"port": 0},
        {"port": 65_536},
        {"port": True},
        {"port": "22"},
        {"within": 0},
        {"within": 1e9},
        {"within": "8"},
    ],
)
def test_an_order_that_is_not_whole_is_none(change: dict[str, object]) -> None:
    order = {**json.loads(DIAL.as_bytes()), **change}
    with pytest.raises(RemoteProtocolError):
        Dial.parse(json.dumps(order).encode())


def test_an_agents_words_are_short_and_harmless() -> None:
    said = Failed.parse(json.dumps({"failed": STREAM, "why": "\x1b[2J" + "x" * 1000}).encode())
    assert said.why.startswith("\\x1b[2J")
    assert len(said.why) < 250
    assert Failed.parse(json.dumps({"failed": STREAM, "why": 7}).encode()).why == "no reason was given"


def test_another_version_is_told() -> None:
    other = {**json.loads(Challenge("gate", b"n" * 32).as_bytes()), "version": 2}
    with pytest.raises(RemoteProtocolError, match="install the same recgate on both"):
        Challenge.parse(json.dumps(other).encode())
