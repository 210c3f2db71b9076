"""Content keys: they fit one session, one segment and one kind of block, and take both halves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recgate.errors import RecordingDamaged
from recgate.model import Secret
from recgate.recipients.keys import HYBRID, Identity, NotOpened
from recgate.recipients.wrapping import (
    MAX_RECIPIENTS,
    ORIGINALS,
    TAG_BYTES,
    ContentCipher,
    Context,
    Wrap,
    read_wraps,
    wrapped_key,
)

HERE = Context(b"s" * 16, 3)
ERASURE = Secret(b"e" * 32)
ELSEWHERE = [replace(HERE, session=b"t" * 16), replace(HERE, segment=4), replace(HERE, kind=ORIGINALS)]


def test_every_recipient_opens_it_each_with_a_wrap_of_its_own():
    identities = [Identity.generate(), Identity.generate(HYBRID), Identity.generate()]
    cipher, wraps = wrapped_key(HERE, [each.recipient for each in identities], ERASURE)
    block = cipher.encrypt(5, b"content")

    assert len(block) == len(b"content") + TAG_BYTES
    for identity, wrap in zip(identities, wraps, strict=True):
        assert wrap.recipient == identity.recipient.id
        secret = identity.open(wrap.sealed, HERE.info)
        assert ContentCipher(secret, ERASURE, HERE).decrypt(5, block) == b"content"


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=["session", "segment", "kind"])
def test_nothing_of_it_fits_elsewhere(elsewhere):
    identity = Identity.generate()
    cipher, (wrap,) = wrapped_key(HERE, [identity.recipient], ERASURE)
    with pytest.raises(NotOpened):
        identity.open(wrap.sealed, elsewhere.info)
    # Even with the secret itself: the key is another one, and the block is bound to its place besides.
    secret = identity.open(wrap.sealed, HERE.info)
    with pytest.raises(RecordingDamaged, match="does not decrypt"):
        ContentCipher(secret, ERASURE, elsewhere).decrypt(5, cipher.encrypt(5, b"content"))


def test_it_takes_the_erasure_key_and_the_right_number_and_every_byte():
    identity = Identity.generate()
    cipher, (wrap,) = wrapped_key(HERE, [identity.recipient], ERASURE)
    secret = identity.open(wrap.sealed, HERE.info)
    block = cipher.encrypt(5, b"content")
    altered = bytes([block[0] ^ 1]) + block[1:]

    for erasure, number, data in (
        (Secret(bytes(32)), 5, block),
        (ERASURE, 6, block),
        (ERASURE, 5, altered),
        (ERASURE, 5, block[:-1]),
        (ERASURE, 5, b""),
    ):
        with pytest.raises(RecordingDamaged):
            ContentCipher(secret, erasure, HERE).decrypt(number, data)


def test_two_keys_are_never_the_same():
    identity = Identity.generate()
    blocks = {wrapped_key(HERE, [identity.recipient], ERASURE)[0].encrypt(0, b"content") for _ in range(20)}
    assert len(blocks) == 20


def test_wraps_are_read_as_they_are_written():
    wraps = wrapped_key(HERE, [Identity.generate(kind).recipient for kind in (1, 2)], ERASURE)[1]
    assert read_wraps([wrap.to_cbor() for wrap in wraps], "its wraps") == wraps
    assert read_wraps([], "its wraps") == ()


def test_a_kind_of_later_is_kept():
    later = Wrap(9, bytes(32), b"whatever")
    assert read_wraps([later.to_cbor()], "its wraps") == (later,)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [[]],
        [[1, bytes(32)]],
        [[1, bytes(31), b""]],
        [[-1, bytes(32), b""]],
        [["1", bytes(32), b""]],
        [[True, bytes(32), b""]],
        [[1, "x" * 32, b""]],
        [[1, bytes(32), "sealed"]],
        [[1, bytes(32), bytes(5000)]],
        [[1, bytes(32), b"a"], [1, bytes(32), b"b"]],
        [[1, number.to_bytes(32, "big"), b""] for number in range(MAX_RECIPIENTS + 1)],
    ],
)
def test_what_are_no_wraps_is_damage(value):
    with pytest.raises(RecordingDamaged):
        read_wraps(value, "its wraps")
