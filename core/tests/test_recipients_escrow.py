"""The key of originals: only together, only with the gateway's permits, and the wrong share is named."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from recgate.errors import AccessDenied, RecordingDamaged, RecordingSealed
from recgate.model import Secret
from recgate.recipients.escrow import Escrow, Escrowed, Share, joined, opened, permit_of, read_escrowed
from recgate.recipients.keys import HYBRID, X25519, Identity
from recgate.recipients.wrapping import ORIGINALS, Context
from recgate.recording.cbor import decode_strict, encode

SESSION, SEGMENT = bytes(range(16)), 7
CONTEXT = Context(SESSION, SEGMENT, ORIGINALS)
ERASURE = Secret(b"e" * 32)
PEOPLE = [Identity.generate(kind) for kind in (X25519, HYBRID, X25519)]
GATEWAY = Secret(b"g" * 32)
ESCROW = Escrow(tuple(each.recipient for each in PEOPLE), 2, GATEWAY)


def permit(person: Identity) -> Secret:
    return permit_of(GATEWAY, CONTEXT, person.recipient.id)


def share(escrowed: Escrowed, person: Identity) -> tuple[bytes, Share]:
    return person.recipient.id, opened(escrowed, CONTEXT, person, permit(person))


def test_any_two_of_three_open_it() -> None:
    cipher, escrowed = ESCROW.made(SESSION, SEGMENT, ERASURE)
    sealed = cipher.encrypt(0, b"4111 1111 1111 1111")
    again = read_escrowed(decode_strict(encode(escrowed.to_cbor()), "it"), "it")
    assert again == escrowed
    for pair in itertools.permutations(PEOPLE, 2):
        shares = [share(escrowed, each) for each in pair]
        assert joined(escrowed, CONTEXT, shares, ERASURE).decrypt(0, sealed) == b"4111 1111 1111 1111"


def test_one_person_is_not_enough_however_often_they_come() -> None:
    _, escrowed = ESCROW.made(SESSION, SEGMENT, ERASURE)
    one = share(escrowed, PEOPLE[0])
    with pytest.raises(AccessDenied, match="takes 2 people, and here are shares of 1"):
        joined(escrowed, CONTEXT, [one], ERASURE)
    with pytest.raises(AccessDenied, match="one person's"):
        joined(escrowed, CONTEXT, [one, one], ERASURE)


def test_a_private_key_without_the_permit_gives_no_share() -> None:
    _, escrowed = ESCROW.made(SESSION, SEGMENT, ERASURE)
    for wrong in (
        permit(PEOPLE[1]),
        permit_of(GATEWAY, replace(CONTEXT, segment=8), PEOPLE[0].recipient.id),
        permit_of(Secret(b"h" * 32), CONTEXT, PEOPLE[0].recipient.id),
    ):
        with pytest.raises(AccessDenied, match="permit does not fit"):
            opened(escrowed, CONTEXT, PEOPLE[0], wrong)


def test_a_wrong_share_is_named() -> None:
    _, escrowed = ESCROW.made(SESSION, SEGMENT, ERASURE)
    mine, (holder, theirs) = share(escrowed, PEOPLE[0]), share(escrowed, PEOPLE[1])
    value = bytearray(theirs.value.reveal())
    value[3] ^= 1
    with pytest.raises(AccessDenied, match=f"{holder.hex()[:16]}… is not what was sealed"):
        joined(escrowed, CONTEXT, [mine, (holder, replace(theirs, value=Secret(bytes(value))))], ERASURE)
    other = ESCROW.made(SESSION, SEGMENT, ERASURE)[1]
    with pytest.raises(AccessDenied, match="is not what was sealed"):
        joined(other, CONTEXT, [mine, (holder, theirs)], ERASURE)


def test_a_stranger_an_altered_wrap_and_another_place_open_nothing() -> None:
    _, escrowed = ESCROW.made(SESSION, SEGMENT, ERASURE)
    stranger = Identity.generate()
    with pytest.raises(RecordingSealed, match="sealed to 3 people, 2 of whom open them"):
        opened(escrowed, CONTEXT, stranger, permit(stranger))
    for broken in (
        replace(escrowed.wraps[0], sealed=escrowed.wraps[0].sealed[:-1] + b"\0"),
        replace(escrowed.wraps[0], sealed=escrowed.wraps[2].sealed),
    ):
        altered = Escrowed(2, (broken, *escrowed.wraps[1:]))
        with pytest.raises(RecordingDamaged, match="altered"):
            opened(altered, CONTEXT, PEOPLE[0], permit(PEOPLE[0]))
    with pytest.raises(RecordingDamaged, match="altered"):
        opened(escrowed, replace(CONTEXT, session=bytes(16)), PEOPLE[0], permit(PEOPLE[0]))


def test_another_erasure_key_decrypts_nothing() -> None:
    cipher, escrowed = ESCROW.made(SESSION, SEGMENT, ERASURE)
    shares = [share(escrowed, each) for each in PEOPLE[:2]]
    with pytest.raises(RecordingDamaged, match="does not decrypt"):
        joined(escrowed, CONTEXT, shares, Secret(b"f" * 32)).decrypt(0, cipher.encrypt(0, b"value"))


def test_every_key_is_another() -> None:
    one, other = (ESCROW.made(SESSION, SEGMENT, ERASURE)[0].encrypt(0, b"value") for _ in range(2))
    assert one != other


_WRAP = [1, bytes(32), b"sealed", bytes(32)]
_OTHER = [1, b"\1" * 32, b"sealed", bytes(32)]


@pytest.mark.parametrize(
    "value",
    [
        7,
        [2],
        [1, [_WRAP, _OTHER]],
        [3, [_WRAP, _OTHER]],
        [2, [_WRAP, _WRAP]],
        [True, [_WRAP, _OTHER]],
        [2, [_WRAP, _OTHER[:3]]],
        [2, [_WRAP, [-1, *_OTHER[1:]]]],
        [2, [_WRAP, [1, b"short", b"", bytes(32)]]],
        [2, [_WRAP, [1, b"\1" * 32, bytes(4096), bytes(32)]]],
        [2, [[1, bytes([n]) * 32, b"", bytes(32)] for n in range(17)]],
    ],
)
def test_what_is_no_original_wrap_is_damage(value: object) -> None:
    with pytest.raises(RecordingDamaged):
        read_escrowed(value, "the original wraps")


def test_none_is_none() -> None:
    assert read_escrowed([], "the original wraps") is None


def test_nothing_secret_shows() -> None:
    _, escrowed = ESCROW.made(SESSION, SEGMENT, ERASURE)
    _, one = share(escrowed, PEOPLE[0])
    assert one.value.reveal().hex() not in repr(one)
    assert repr(one.value.reveal()) not in repr(one)
    assert "gggg" not in repr(ESCROW)
