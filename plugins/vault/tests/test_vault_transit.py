"""The transit engine of a real OpenBao keeps another vault's key: what it opens, what it does not, and what is said."""

from collections.abc import Callable

import pytest

from plugins.vault.tests.hostile import Misbehaving, answering
from recgate.errors import VaultFailed
from recgate.model import Secret
from recgate.unlocking import Unlocker
from recgate_vault.transit import MAX_PLAIN, MAX_WRAPPED
from recgate_vault.vault import ServerVault
from tests.peers.openbao import OpenBao

KEY = Secret(b"thirty-two-bytes-of-a-master-key")
ABOUT = b"recgate sealed 2\0local"
RIGHTS = {"transit/encrypt/*": "update", "transit/decrypt/*": "update"}

Make = Callable[..., ServerVault]


@pytest.fixture(scope="module")
def transit(bao: OpenBao) -> OpenBao:
    bao.mount("transit", "transit")
    bao.mount("group/keys", "transit")
    bao("transit/keys/derived", {"derived": True})
    bao("transit/keys/plain", {})
    bao("group/keys/keys/gate", {"derived": True})
    return bao


def refusal(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(VaultFailed) as refused:
        call(*arguments)
    assert type(refused.value) is VaultFailed
    assert KEY.reveal().decode() not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["transit/derived", "transit/plain", "group/keys/gate"])
def test_a_key_comes_back_for_what_it_was_wrapped_for_and_for_nothing_else(
    transit: OpenBao, vault: Make, name: str
) -> None:
    hv = vault({**RIGHTS, "group/keys/encrypt/gate": "update", "group/keys/decrypt/gate": "update"})
    assert isinstance(hv, Unlocker)

    wrapped = hv.wrap(name, KEY, ABOUT)

    assert wrapped.startswith("vault:v1:")
    assert hv.unwrap(name, wrapped, ABOUT) == KEY
    assert "was altered, or wrapped for another vault" in refusal(hv.unwrap, name, wrapped, ABOUT + b"x")


def test_what_was_altered_is_not_opened(transit: OpenBao, vault: Make) -> None:
    hv = vault(RIGHTS)
    wrapped = hv.wrap("transit/derived", KEY, ABOUT)
    middle = len(wrapped) // 2
    other = "A" if wrapped[middle] != "A" else "B"
    for bad in (
        wrapped[:middle] + other + wrapped[middle + 1 :],
        wrapped[:-8],
        "vault:v1:",
        "x",
        "vault:v9:QUFB",
    ):
        assert "transit/decrypt/derived: does not open" in refusal(hv.unwrap, "transit/derived", bad, ABOUT)
    assert "does not open" in refusal(hv.unwrap, "transit/plain", wrapped, ABOUT)
    assert "longer than" in refusal(hv.unwrap, "transit/plain", "x" * (MAX_WRAPPED + 1), ABOUT)
    assert "more than" in refusal(hv.wrap, "transit/plain", Secret(b"x" * (MAX_PLAIN + 1)), ABOUT)


def test_a_rotated_key_opens_what_an_older_version_wrapped_until_it_may_not(
    transit: OpenBao, vault: Make
) -> None:
    transit("transit/keys/rotated", {"derived": True})
    hv = vault(RIGHTS)
    old = hv.wrap("transit/rotated", KEY, ABOUT)
    transit("transit/keys/rotated/rotate", {})
    new = hv.wrap("transit/rotated", KEY, ABOUT)

    assert new.startswith("vault:v2:")
    assert hv.unwrap("transit/rotated", old, ABOUT) == hv.unwrap("transit/rotated", new, ABOUT) == KEY
    transit("transit/keys/rotated/config", {"min_decryption_version": 2})
    assert "min_decryption_version" in refusal(hv.unwrap, "transit/rotated", old, ABOUT)
    assert hv.unwrap("transit/rotated", new, ABOUT) == KEY


def test_what_the_policy_lacks_is_said(transit: OpenBao, vault: Make) -> None:
    both, neither = vault(RIGHTS), vault({"secret/*": "read"})
    wrapped = both.wrap("transit/derived", KEY, ABOUT)

    assert 'path "transit/decrypt/derived" { capabilities = ["update"] }' in refusal(
        neither.unwrap, "transit/derived", wrapped, ABOUT
    )
    assert 'path "transit/encrypt/derived"' in refusal(neither.wrap, "transit/derived", KEY, ABOUT)


def test_a_key_or_an_engine_that_is_not_there_is_said(transit: OpenBao, vault: Make) -> None:
    hv = vault({"*": "update"})
    wrapped = hv.wrap("transit/derived", KEY, ABOUT)

    assert "`bao write transit/keys/none derived=true`" in refusal(hv.unwrap, "transit/none", wrapped, ABOUT)
    assert "refused with 404" in refusal(hv.unwrap, "nowhere/none", wrapped, ABOUT)
    assert "refused with 404" in refusal(hv.wrap, "nowhere/none", KEY, ABOUT)
    assert "is no path" in refusal(hv.wrap, "transit", KEY, ABOUT)
    assert "is no path" in refusal(hv.wrap, "transit/../sys", KEY, ABOUT)


def test_no_key_is_made_by_a_typing_error(transit: OpenBao, vault: Make) -> None:
    """The engine makes a key for whoever may `create`; with the rights that the guide gives it does not."""
    assert "permission denied" in refusal(vault(RIGHTS).wrap, "transit/mistyped", KEY, ABOUT)
    assert "mistyped" not in transit("transit/keys", method="LIST")["data"]["keys"]


@pytest.mark.parametrize("data", [b"{}", b'{"data":{}}', b'{"data":{"ciphertext":7,"plaintext":"%%"}}'])
def test_an_answer_that_is_none_is_no_key(vault: Make, data: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(data), data)
    with Misbehaving(answering(answer)) as server:
        hv = vault(address=server.address, ca=None)
        assert "gave no ciphertext" in refusal(hv.wrap, "transit/derived", KEY, ABOUT)
        assert "gave no plaintext" in refusal(hv.unwrap, "transit/derived", "vault:v1:x", ABOUT)


def test_a_server_that_hangs_is_not_waited_for(vault: Make) -> None:
    with Misbehaving() as server:
        hv = vault(address=server.address, ca=None, timeout=0.5)
        assert "did not answer within 0.5 s" in refusal(hv.unwrap, "transit/derived", "vault:v1:x", ABOUT)
