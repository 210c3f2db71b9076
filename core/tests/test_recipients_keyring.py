"""What opens a sealed segment, and what each missing half is told."""

from __future__ import annotations

import pytest

from recgate.errors import RecordingDamaged, RecordingSealed
from recgate.model import Secret
from recgate.recipients.keyring import NOBODY, Keyring
from recgate.recipients.keys import Identity
from recgate.recipients.wrapping import Context, Wrap, wrapped_key

HERE = Context(b"s" * 16, 1)
ERASURE = Secret(b"e" * 32)


class Known:
    """Erasure keys in memory."""

    def __init__(self, **keys):
        self.keys = {name.encode() * 16: key for name, key in keys.items()}

    def find(self, session):
        return self.keys.get(session)


def sealed(*identities):
    cipher, wraps = wrapped_key(HERE, [each.recipient for each in identities], ERASURE)
    return cipher.encrypt(0, b"content"), wraps


def test_any_one_of_the_recipients_reads():
    ours, others = Identity.generate(), Identity.generate()
    block, wraps = sealed(others, ours)
    keyring = Keyring([Identity.generate(), ours], Known(s=ERASURE))

    assert keyring.cipher(HERE, wraps).decrypt(0, block) == b"content"


@pytest.mark.parametrize(
    ("identities", "erasure", "where", "expected"),
    [
        (
            [],
            Known(s=ERASURE),
            "",
            r"sealed to 2 auditors; read it with the private key of one: --identity KEY",
        ),
        ([Identity.generate()], Known(s=ERASURE), "", "to 2 auditors, and to none of the identities given"),
        (None, None, "", "its erasure key is not here; say --erasure FILE"),
        (None, Known(t=ERASURE), "keys.erasure", "keys.erasure has no erasure key of it"),
    ],
)
def test_what_is_missing_is_named(identities, erasure, where, expected):
    ours = Identity.generate()
    _, wraps = sealed(ours, Identity.generate())
    with pytest.raises(RecordingSealed, match=expected):
        Keyring([ours] if identities is None else identities, erasure, where).cipher(HERE, wraps)


def test_a_wrap_that_names_an_identity_and_does_not_open_is_damage():
    ours = Identity.generate()
    _, (wrap,) = sealed(ours)
    for wrong in (
        Wrap(1, wrap.recipient, wrap.sealed[:-1]),
        Wrap(1, wrap.recipient, ours.recipient.seal(b"k" * 32, Context(b"s" * 16, 2).info)),
        Wrap(1, wrap.recipient, ours.recipient.seal(b"short", HERE.info)),
    ):
        with pytest.raises(RecordingDamaged):
            Keyring([ours], Known(s=ERASURE)).cipher(HERE, [wrong])


def test_without_identities_it_is_empty():
    assert not NOBODY
    assert Keyring([Identity.generate()])
