"""Payloads by name and back, and what is not a payload."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import RemoteProtocolError
from recgate_ssh.frames import Kind, body_of, kind_of, word_frame
from recgate_ssh.words import CHANNELS, FROM_CLIENT, FROM_TARGET, GLOBAL, Field, Word, legible, pack, unpack

WORDS = [*FROM_CLIENT.values(), *FROM_TARGET.values(), *CHANNELS.values(), *GLOBAL.values()]


def values_of(word: Word) -> st.SearchStrategy[dict[str, object]]:
    kinds = {
        Field.TEXT: st.text(),
        Field.BLOB: st.binary(),
        Field.NUMBER: st.integers(0, 2**32 - 1),
        Field.FLAG: st.booleans(),
    }
    return st.fixed_dictionaries({name: kinds[kind] for name, kind in word.fields})


@given(st.sampled_from(WORDS).flatmap(lambda word: st.tuples(st.just(word), values_of(word))))
def test_what_is_packed_is_unpacked(case: tuple[Word, dict[str, object]]):
    word, values = case

    assert unpack(word, pack(word, values)) == values


@given(st.sampled_from(WORDS), st.binary(max_size=80))
def test_whatever_the_peer_sends_it_is_read_or_refused(word: Word, payload: bytes):
    try:
        values = unpack(word, payload)
    except RemoteProtocolError:
        return
    # A flag is any byte that is not zero on the wire, and 1 when written.
    assert word.name == "exit-signal" or word.name == "xon-xoff" or pack(word, values) == payload


def test_text_that_is_not_utf8_stays_as_it_is():
    word = FROM_CLIENT["exec"]
    values = unpack(word, b"\0\0\0\2\xff\xfe")

    assert values == {"command": b"\xff\xfe"}
    assert pack(word, values) == b"\0\0\0\2\xff\xfe"
    assert legible(values["command"]) == "\\xff\\xfe"


@pytest.mark.parametrize(
    "payload", [b"", b"\0\0\0\5abc", b"\xff\xff\xff\xff", b"\0\0\0\1ax", b"\0" * 300_000]
)
def test_a_payload_of_another_length_is_refused(payload: bytes):
    with pytest.raises(RemoteProtocolError):
        unpack(FROM_CLIENT["exec"], payload)


def test_only_three_words_start_a_program():
    assert {name for name, word in FROM_CLIENT.items() if word.starts} == {"shell", "exec", "subsystem"}


def test_frames_hold_their_words_as_cbor():
    frame = word_frame(0, kind_of("window-change"), {"cols": 80}, 3)  # pyright: ignore[reportArgumentType]

    assert (frame.kind, frame.channel, body_of(frame.data)) == (Kind.RESIZE, 3, {"cols": 80})


@given(st.binary(max_size=60))
def test_a_frame_that_is_no_map_is_refused(data: bytes):
    with contextlib.suppress(RemoteProtocolError):
        assert isinstance(body_of(data), dict)
