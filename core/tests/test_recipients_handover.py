"""Erasure keys for an auditor: opened by that one, whole or not at all."""

from __future__ import annotations

import pytest

from recgate.errors import RecordingDamaged, RecordingSealed
from recgate.model import Secret
from recgate.recipients.handover import pack, unpack
from recgate.recipients.keys import HYBRID, Identity
from recgate.recording.cbor import encode

KEYS = [(bytes([n]) * 16, Secret(bytes([n + 1]) * 32)) for n in range(3)]
INFO = b"recgate hand-over v1"


@pytest.mark.parametrize("kind", [1, HYBRID])
def test_what_is_packed_is_what_its_auditor_finds(kind):
    ours = Identity.generate(kind)
    got = unpack(pack(KEYS, ours.recipient), [Identity.generate(), ours])

    assert len(got) == 3
    assert [got.find(session) for session, _ in KEYS] == [key for _, key in KEYS]
    assert got.find(b"x" * 16) is None


def test_nobody_else_opens_it():
    with pytest.raises(RecordingSealed, match="for another auditor"):
        unpack(pack(KEYS, Identity.generate().recipient), [Identity.generate()])


def test_every_altered_byte_is_seen():
    ours = Identity.generate()
    data = pack(KEYS, ours.recipient)
    for place in range(len(data)):
        with pytest.raises((RecordingDamaged, RecordingSealed)):
            unpack(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :], [ours])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        encode({}),
        encode([[b"s" * 16]]),
        encode([[b"s" * 15, b"k" * 32]]),
        encode([[b"s" * 16, b"k" * 31]]),
        encode([["s" * 16, b"k" * 32]]),
    ],
)
def test_what_is_sealed_and_no_keys_is_refused_and_not_repeated(content):
    ours = Identity.generate()
    data = encode(["recgate erasure keys", 1, 1, ours.recipient.id, ours.recipient.seal(content, INFO)])
    with pytest.raises(RecordingDamaged) as raised:
        unpack(data, [ours])
    assert "kkk" not in str(raised.value)


@pytest.mark.parametrize(
    "data", [b"", b"SQLite", encode(["recgate erasure keys", 2, 1, bytes(32), b""]), encode([1, 1, 1, 1, 1])]
)
def test_another_file_is_refused(data):
    with pytest.raises(RecordingDamaged):
        unpack(data, [Identity.generate()])
