"""A sealed vault whose key another vault keeps: what is on disk, what is asked, what is refused, and how it moves."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import cbor2
import pytest
import trio
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ValidationError

from recgate.errors import VaultFailed
from recgate.model import Credential, Principal, Secret, TargetInfo
from recgate.testing.people import FakeVault
from recgate.unlocking import Locked
from recgate_sealed.keysource import MasterKey
from recgate_sealed.opening import open_file
from recgate_sealed.sealedfile import SealedFile
from recgate_sealed.settings import KeySource, SealedSettings, Unlock
from recgate_sealed.vault import AT_ONCE, PAUSE, SealedVault
from recgate_sealed.wrappedkey import WrappedKey

APP = Credential("app", password=Secret("hunter2-hunter2"))
ROOT = Credential("root", private_key=Secret("-----BEGIN KEY-----"), certificate=b"x\n")
ALICE = Principal("local", "alice", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)


@dataclass
class Keeping:
    """Keeps keys for others, and may be away or hang."""

    key: bytes = field(default_factory=lambda: AESGCM.generate_key(256))
    asked: int = 0
    away: bool = False
    hangs: threading.Event | None = None

    def _answer(self) -> AESGCM:
        self.asked += 1
        if self.hangs is not None:
            assert self.hangs.wait(30)
        if self.away:
            raise VaultFailed("vault hv: https://hv cannot be reached.")
        return AESGCM(self.key)

    def wrap(self, key: str, plain: Secret, about: bytes) -> str:
        nonce = os.urandom(12)
        return (nonce + self._answer().encrypt(nonce, plain.reveal(), key.encode() + about)).hex()

    def unwrap(self, key: str, wrapped: str, about: bytes) -> Secret:
        cipher = self._answer()
        try:
            box = bytes.fromhex(wrapped)
            return Secret(cipher.decrypt(box[:12], box[12:], key.encode() + about))
        except (InvalidTag, ValueError):
            raise VaultFailed("vault hv: does not open what it was given.") from None


def settings(name: str = "local") -> SealedSettings:
    return SealedSettings(name=name, unlock=Unlock(vault="hv", key="recgate"))


def opened(path: Path, keeping: Keeping | None, name: str = "local") -> SealedFile:
    file = open_file(path, settings(name))
    assert isinstance(file.holder, WrappedKey)
    file.holder.unlocker = keeping
    return file


def refusal(call, *arguments: object) -> str:
    with pytest.raises(VaultFailed) as refused:
        call(*arguments)
    return str(refused.value)


def altered(file: SealedFile, **changes: object) -> None:
    fields = {**cbor2.loads(file.path.read_bytes()), **changes}
    file.path.write_bytes(
        cbor2.dumps({key: value for key, value in fields.items() if value is not None}, canonical=True)
    )


def test_no_key_is_on_disk_and_one_that_was_unwrapped_stays_in_memory(tmp_path):
    keeping = Keeping()
    file = opened(tmp_path, keeping)
    file.put("a", APP)
    file.put("b", ROOT)
    assert [file.get("a"), file.get("b")] == [APP, ROOT]

    assert keeping.asked == 1
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "local.lock",
        "local.sealed",
    ]
    later = opened(tmp_path, keeping)
    assert [later.get("a"), later.get("b"), later.get("a")] == [APP, ROOT, APP]
    assert keeping.asked == 2
    keeping.away = True
    assert later.get("a") == APP


def test_another_key_of_the_other_vault_opens_nothing(tmp_path):
    opened(tmp_path, Keeping()).put("a", APP)

    assert "does not open" in refusal(opened(tmp_path, Keeping()).get, "a")
    assert "no vault hv is there" in refusal(opened(tmp_path, None).get, "a")


def test_a_wrapped_key_that_was_altered_or_put_there_from_elsewhere_is_noticed(tmp_path):
    keeping = Keeping()
    file, other = opened(tmp_path, keeping), opened(tmp_path, keeping, "other")
    file.put("a", APP)
    other.put("a", APP)
    wrapped = str(cbor2.loads(file.path.read_bytes())["wrapped"])

    altered(file, wrapped=wrapped[:-2] + ("00" if wrapped[-2:] != "00" else "11"))
    assert "does not open" in refusal(opened(tmp_path, keeping).get, "a")
    altered(file, wrapped=cbor2.loads(other.path.read_bytes())["wrapped"])
    assert "does not open" in refusal(opened(tmp_path, keeping).get, "a")
    mine = opened(tmp_path / "mine", keeping)
    mine.put("a", APP)
    altered(file, wrapped=cbor2.loads(mine.path.read_bytes())["wrapped"])
    assert "is not the one that" in refusal(opened(tmp_path, keeping).get, "a")
    short = keeping.wrap("transit/recgate", Secret(b"short"), b"recgate sealed 2\0local")
    altered(file, wrapped=short)
    assert "is no key of 32 bytes" in refusal(opened(tmp_path, keeping).get, "a")


@pytest.mark.parametrize(
    "changes",
    [{"wrapped": None}, {"wrapped": ""}, {"wrapped": 7}, {"wrapped": b"x"}, {"format": 1}],
)
def test_format_and_wrapped_key_belong_together(tmp_path, changes):
    file = opened(tmp_path, Keeping())
    file.put("a", APP)
    altered(file, **changes)

    assert "its file is damaged" in refusal(file.get, "a")


def test_a_file_with_a_key_of_its_own_says_how_it_moves(tmp_path):
    own = open_file(tmp_path, SealedSettings())
    own.put("a", APP)
    wrapped = opened(tmp_path, Keeping())

    assert "Run `recgate secret rewrap --vault local`." in refusal(wrapped.get, "a")
    assert "rewrap --vault local" in refusal(wrapped.put, "b", APP)
    assert own.is_wrapped is False


def test_a_file_moves_whole_and_its_old_key_opens_nothing_more(tmp_path):
    own = open_file(tmp_path, SealedSettings())
    assert own.is_wrapped is None
    own.put("a", APP)
    own.put("b", ROOT)
    described = own.names()
    before = own.path.read_bytes()
    file = opened(tmp_path, Keeping())

    assert file.rewrap(MasterKey("local", tmp_path / "keys", None)) == 2

    assert file.is_wrapped is True
    assert [file.get("a"), file.get("b")] == [APP, ROOT]
    assert {name: (d.username, d.kind, d.changed) for name, d in file.names().items()} == {
        name: (d.username, d.kind, d.changed) for name, d in described.items()
    }
    assert "its key is wrapped by another vault" in refusal(own.get, "a")
    envelope = cbor2.loads(file.path.read_bytes())
    altered(file, format=1, wrapped=None)
    assert "is not the one that" in refusal(open_file(tmp_path, SealedSettings()).get, "a")
    assert envelope["salt"] != cbor2.loads(before)["salt"]


def test_a_key_is_replaced_where_it_is_and_moves_back(tmp_path):
    keeping = Keeping()
    file = opened(tmp_path, keeping)
    file.put("a", APP)
    wrapped = cbor2.loads(file.path.read_bytes())["wrapped"]

    assert file.rewrap(file.holder) == 1
    assert cbor2.loads(file.path.read_bytes())["wrapped"] != wrapped
    assert opened(tmp_path, keeping).get("a") == APP
    own = open_file(tmp_path, SealedSettings())
    assert own.rewrap(file.holder) == 1
    keeping.away = True
    assert open_file(tmp_path, SealedSettings()).get("a") == APP
    assert own.is_wrapped is False


def test_a_move_that_fails_changes_nothing(tmp_path):
    own = open_file(tmp_path, SealedSettings())
    generated = MasterKey("local", tmp_path / "keys", None)
    file = opened(tmp_path, Keeping(away=True))
    assert "has no file yet" in refusal(file.rewrap, generated)
    own.put("a", APP)
    own.put("b", APP)
    before = own.path.read_bytes()

    assert "cannot be reached" in refusal(file.rewrap, generated)
    assert own.path.read_bytes() == before
    (tmp_path / "wrong").touch(mode=0o600)
    (tmp_path / "wrong").write_bytes(b"x" * 32)
    wrong = MasterKey("local", tmp_path / "keys", KeySource(file=tmp_path / "wrong"))
    assert "is not the one that" in refusal(opened(tmp_path, Keeping()).rewrap, wrong)
    entries = dict(cbor2.loads(before)["entries"])
    del entries["b"]
    altered(own, entries=entries)
    before = own.path.read_bytes()
    assert "Nothing was changed" in refusal(opened(tmp_path, Keeping()).rewrap, generated)
    assert own.path.read_bytes() == before
    assert own.get("a") == APP


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"unlock": {"vault": "local", "key": "k"}}, "unlocked by itself"),
        ({"unlock": {"vault": "hv", "key": "k"}, "key": {"environment": "K"}}, "`key` or `unlock`, not both"),
        ({"unlock": {"vault": "hv", "key": "k/../x"}}, "match pattern"),
        ({"unlock": {"vault": "hv", "key": ".."}}, "match pattern"),
        ({"unlock": {"vault": "hv", "key": "k", "mount": "a//b"}}, "match pattern"),
        ({"unlock": {"vault": "hv", "key": "k", "mount": "../sys"}}, "match pattern"),
        ({"unlock": {"vault": "HV", "key": "k"}}, "lower-case"),
        ({"unlock": {"vault": "hv"}}, "key"),
    ],
)
def test_settings_that_are_refused(given, reason):
    with pytest.raises(ValidationError, match=reason):
        SealedSettings.model_validate(given)


# -- as the gateway uses it ----------------------------------------------------------------------------------


@pytest.fixture
def keeping(tmp_path):
    keeping = Keeping()
    opened(tmp_path, keeping).put("prod-db", APP)
    keeping.asked = 0
    return keeping


@pytest.fixture
def vault(tmp_path, keeping):
    vault = SealedVault(open_file(tmp_path, settings()))
    assert isinstance(vault, Locked)
    assert vault.unlocked_by == "hv"
    vault.unlock_with(keeping)
    return vault


async def test_a_vault_without_unlock_is_not_locked(tmp_path):
    assert SealedVault(open_file(tmp_path, SealedSettings())).unlocked_by == ""


async def test_it_is_unlocked_once_and_lends_while_the_other_is_away(vault, keeping):
    await vault.unlock()
    keeping.away = True
    await vault.unlock()

    lease = await vault.lease("prod-db", ALICE, TARGET, "s")
    assert lease.credential == APP
    assert await vault.renew(lease) == lease
    assert keeping.asked == 1


async def test_while_it_is_locked_nothing_is_lent_and_the_other_is_not_flooded(
    vault, keeping, autojump_clock
):
    keeping.away = True
    for _ in range(20):
        with pytest.raises(
            VaultFailed, match=r"sealed vault local is locked: vault hv: .* tried again by itself"
        ):
            await vault.lease("prod-db", ALICE, TARGET, "s")
    assert keeping.asked == 1

    keeping.away = False
    autojump_clock.jump(PAUSE)
    assert (await vault.lease("prod-db", ALICE, TARGET, "s")).credential == APP
    assert keeping.asked == 2


async def test_sessions_that_open_at_once_ask_once(vault, keeping):
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(vault.lease, "prod-db", ALICE, TARGET, "s")

    assert keeping.asked == 1


async def test_threads_of_others_stay_free_while_it_hangs(vault, keeping):
    keeping.hangs = threading.Event()
    everybody = trio.to_thread.current_default_thread_limiter()
    try:
        with trio.move_on_after(0.5) as waited:
            async with trio.open_nursery() as nursery:
                for _ in range(3 * AT_ONCE):
                    nursery.start_soon(vault.lease, "prod-db", ALICE, TARGET, "s")
        assert waited.cancelled_caught
        assert keeping.asked == 1
        assert everybody.borrowed_tokens == 0
    finally:
        keeping.hangs.set()


async def test_a_reload_keeps_it_open_and_a_key_of_elsewhere_does_not(vault, keeping, tmp_path):
    await vault.unlock()
    keeping.away = True
    fresh = SealedVault(open_file(tmp_path, settings()))
    fresh.unlock_with(keeping)
    fresh.inherit(FakeVault())
    fresh.inherit(vault)

    assert (await fresh.lease("prod-db", ALICE, TARGET, "s")).credential == APP
    elsewhere = SealedVault(open_file(tmp_path, SealedSettings(unlock=Unlock(vault="hv", key="another"))))
    elsewhere.unlock_with(keeping)
    elsewhere.inherit(vault)
    with pytest.raises(VaultFailed, match="is locked"):
        await elsewhere.lease("prod-db", ALICE, TARGET, "s")


async def test_a_file_that_was_sealed_anew_is_opened_with_its_new_key(vault, keeping, tmp_path):
    await vault.unlock()
    opened(tmp_path, keeping).rewrap(opened(tmp_path, keeping).holder)

    assert (await vault.lease("prod-db", ALICE, TARGET, "s")).credential == APP
