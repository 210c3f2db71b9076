"""Frames in their two encodings: fast into the journal, one form only in a segment."""

from __future__ import annotations

import struct

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import LocalProtocolError, RecordingDamaged
from recgate.recording.frames import (
    FrameEncoder,
    RecordedFrame,
    decode_block,
    decode_record,
    encode_frame,
    encode_head,
)
from recgate.sansio.frames import CLIENT, GATEWAY, UPSTREAM

UINT = st.integers(0, (1 << 63) - 1) | st.sampled_from(
    [0, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32]
)
FRAMES = st.builds(
    RecordedFrame,
    seq=UINT,
    t=UINT,
    channel=st.integers(0, (1 << 32) - 1),
    side=st.integers(0, 2),
    kind=st.text(min_size=1, max_size=16),
    data=st.binary(max_size=300),
    salt=st.binary(min_size=16, max_size=16),
)


def encoded(frame):
    return encode_frame(frame, encode_head(frame, {}))


@given(st.lists(FRAMES, max_size=5))
def test_a_segment_gives_back_what_went_in(frames):
    content = b"".join(encoded(frame) for frame in frames)
    assert decode_block(content) == frames


@given(FRAMES)
def test_a_segment_has_the_deterministic_form(frame):
    fields = [frame.seq, frame.t, frame.channel, frame.side, frame.kind, frame.salt, frame.data]
    assert encoded(frame) == cbor2.dumps(fields, canonical=True)


@given(FRAMES)
def test_the_journal_gives_back_what_went_in(frame):
    encoder = FrameEncoder()
    for _ in range(2):  # the second time from the cache
        data = encoder.encode(frame.seq, frame.t, frame.side, frame.kind, frame.data, frame.channel)
        (back,) = decode_record(data)
        frame.salt = b""
        assert back == frame


def test_the_journal_takes_sides_as_the_core_names_them():
    encoder = FrameEncoder()
    data = b"".join(
        encoder.encode(n, n, side, "F", b"x", 0) for n, side in enumerate((CLIENT, UPSTREAM, GATEWAY))
    )
    assert [frame.side for frame in decode_record(data)] == [0, 1, 2]


def test_the_journal_keeps_no_more_layouts_than_it_must():
    encoder = FrameEncoder()
    for channel in range(3000):
        encoder.encode(1, 1, 0, "data", b"", channel)
        encoder.encode(1, 1, 0, f"k{channel}", b"", 0)
    assert max(len(cache) for cache in encoder._by_channel) <= 1024
    assert max(len(cache) for cache in encoder._by_side) <= 1024


@pytest.mark.parametrize(("kind", "channel"), [("", 0), ("k" * 65, 0), ("F", -1), ("F", 1 << 32)])
def test_what_no_frame_may_have_is_our_own_mistake(kind, channel):
    with pytest.raises(LocalProtocolError):
        FrameEncoder().encode(0, 0, 0, kind, b"", channel)


GOOD = [1, 2, 0, 0, "F", bytes(16), b"data"]


@pytest.mark.parametrize(
    "item",
    [
        GOOD[:6],
        [*GOOD, 1],
        [-1, *GOOD[1:]],
        [1 << 63, *GOOD[1:]],
        [1, -2, *GOOD[2:]],
        [1, 2, 1 << 32, *GOOD[3:]],
        [1, 2, 0, 3, *GOOD[4:]],
        [1, 2, 0, 0, "", *GOOD[5:]],
        [1, 2, 0, 0, "k" * 65, *GOOD[5:]],
        [1, 2, 0, 0, "é" * 33, *GOOD[5:]],
        [1, 2, [], 0, *GOOD[4:]],
        [1, 2, 0, 0, b"F", *GOOD[5:]],
        [1, 2, 0, 0, "F", bytes(15), b"data"],
        [1, 2, 0, 0, "F", bytes(17), b"data"],
        [1, 2, 0, 0, "F", bytes(16), "data"],
        [1, 2, 0, True, *GOOD[4:]],
        [1.0, *GOOD[1:]],
        {1: 2},
        "text",
        cbor2.CBORTag(1, 5),
        [[[[]]]],
    ],
)
def test_what_is_no_frame_is_refused(item):
    with pytest.raises(RecordingDamaged):
        decode_block(cbor2.dumps(item))


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"\x80\xff\x80",
        b"\x87\x18\x01" + cbor2.dumps(GOOD)[2:],  # 1 in two bytes
        b"\x9f" + cbor2.dumps(GOOD)[1:] + b"\xff",  # an array of indefinite length
        b"\x98\x07" + cbor2.dumps(GOOD)[1:],
        cbor2.dumps(GOOD)[:-1],
        cbor2.dumps(GOOD) + b"\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 5000,
        b"\xd8\x1c\x81\xd8\x1d\x00",  # an array that holds itself
        b"\xc2\x5b\x00\xff\xff\xff\xff\xff\xff\xff",
    ],
)
def test_another_form_of_a_frame_is_refused(content):
    with pytest.raises(RecordingDamaged):
        decode_block(content)


def test_a_large_block_is_one_frame_and_never_many_small_items():
    frame = RecordedFrame(1, 2, 0, 0, "F", bytes(1 << 20), bytes(16))
    content = encoded(frame)
    assert decode_block(content) == [frame]
    with pytest.raises(RecordingDamaged, match="more than one frame"):
        decode_block(content + content)
    with pytest.raises(RecordingDamaged):
        decode_block(b"\x80" * (1 << 20))


@given(st.binary(max_size=400) | st.lists(FRAMES, max_size=2).map(lambda f: b"".join(encoded(x) for x in f)))
def test_garbage_is_frames_or_damage(content):
    try:
        frames = decode_block(content)
    except RecordingDamaged:
        return
    assert b"".join(encoded(frame) for frame in frames) == content


@given(st.binary(max_size=200))
def test_a_garbled_record_is_frames_or_damage(content):
    try:
        decode_record(content)
    except RecordingDamaged:
        return


def test_lengths_are_read_in_every_width():
    for width, size in ((24, 255), (25, 65_535), (26, 70_000)):
        data = bytes(size)
        content = encoded(RecordedFrame(1, 2, 0, 0, "F", data, bytes(16)))
        assert struct.pack(">B", 0x40 | width) in content
        assert decode_block(content)[0].data == data
