"""What is kept becomes a credential, or an error that quotes nothing of it."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import VaultFailed
from recgate.model import Credential, Secret
from recgate_secrets.parsing import MAX_SECRET, credential_of

CANARY = "canary-7d1"


@pytest.mark.parametrize("text", [CANARY, f"{CANARY}\n", f"{CANARY}\r\n"])
def test_a_plain_text_is_a_password(text):
    assert credential_of("here", text.encode()) == Credential(password=Secret(CANARY))


def test_blanks_belong_to_a_password():
    assert credential_of("here", b" a b \n\n") == Credential(password=Secret(" a b \n"))


def test_an_object_has_parts():
    found = credential_of(
        "here", b'{"username": "app", "password": "p", "private_key": "k", "certificate": "c"}'
    )
    assert found == Credential("app", Secret("p"), Secret("k"), b"c")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\xff" + CANARY.encode(),
        b"x" * (MAX_SECRET + 1),
        b'{"password": "' + CANARY.encode(),
        b"{}",
        b'{"password": 1}',
        b'{"password": ""}',
        b'{"passwd": "' + CANARY.encode() + b'"}',
    ],
)
def test_anything_else_is_refused_and_not_quoted(data):
    with pytest.raises(VaultFailed) as refused:
        credential_of("here", data)
    assert str(refused.value).startswith("here")
    assert CANARY not in str(refused.value)
    assert refused.value.__cause__ is None


@given(st.binary(max_size=200))
def test_garbage_is_a_password_or_refused(data):
    with contextlib.suppress(VaultFailed):
        assert isinstance(credential_of("here", data), Credential)
