"""Session ids sort by time, read back, and are UUIDv7."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.ids import SESSION_ID_LENGTH, new_session_id, session_bytes, session_text


def test_an_id_is_a_uuid_of_version_7() -> None:
    raw = uuid.UUID(bytes=session_bytes(new_session_id()))
    assert raw.version == 7
    assert raw.variant == uuid.RFC_4122


@given(st.binary(min_size=16, max_size=16))
def test_text_reads_back(raw: bytes) -> None:
    text = session_text(raw)
    assert len(text) == SESSION_ID_LENGTH
    assert session_bytes(text) == raw


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_text_sorts_as_bytes_do(one: bytes, two: bytes) -> None:
    assert (session_text(one) < session_text(two)) == (one < two)


@pytest.mark.parametrize(
    "text", ["", "0" * 25, "0" * 27, "../" + "0" * 23, "0" * 25 + "U", "Z" * 26, "0" * 25 + "\n"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="session id"):
        session_bytes(text)
