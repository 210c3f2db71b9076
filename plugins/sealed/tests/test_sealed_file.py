"""The sealed file: what it hides, what it notices, and what it says when it cannot be opened."""

import base64
import os
import secrets
import threading

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recgate.errors import VaultFailed
from recgate.model import Credential, Secret
from recgate_sealed.keysource import MasterKey
from recgate_sealed.opening import open_file
from recgate_sealed.sealedfile import SealedFile, kind_of
from recgate_sealed.sealing import SealingKey, parse
from recgate_sealed.settings import KeySource, SealedSettings

PASSWORD = "correct horse battery staple"
APP = Credential("app", password=Secret(PASSWORD))
ROOT = Credential("root", private_key=Secret("-----BEGIN KEY-----"), certificate=b"ssh-ed25519-cert x\n")


@pytest.fixture
def sealed(tmp_path) -> SealedFile:
    return open_file(tmp_path, SealedSettings())


def refusal(call, *arguments) -> str:
    with pytest.raises(VaultFailed) as refused:
        call(*arguments)
    text = str(refused.value)
    assert PASSWORD not in text
    return text


def test_what_was_kept_comes_back(sealed):
    assert sealed.put("prod-db", APP) is True
    assert sealed.put("prod-web", ROOT) is True

    assert sealed.get("prod-db") == APP
    assert sealed.get("prod-web") == ROOT
    assert {name: (d.username, d.kind) for name, d in sealed.names().items()} == {
        "prod-db": ("app", "password"),
        "prod-web": ("root", "key and certificate"),
    }
    assert kind_of(Credential("x")) == "name only"


def test_an_entry_is_replaced_and_removed(sealed):
    sealed.put("a", APP)
    assert sealed.put("a", ROOT) is False
    assert sealed.get("a") == ROOT
    assert sealed.remove("a") is True
    assert sealed.remove("a") is False
    assert "sealed vault local: has no 'a'. Set it: `recgate secret set a`." in refusal(sealed.get, "a")


def test_before_anything_is_kept_there_is_nothing(sealed):
    assert sealed.names() == {}
    assert sealed.remove("a") is False
    assert "has no 'a'" in refusal(sealed.get, "a")


def test_neither_secrets_nor_user_names_are_in_the_file(sealed):
    """Law 4."""
    sealed.put("prod-db", APP)
    content = sealed.path.read_bytes()

    assert PASSWORD.encode() not in content
    assert b"app" not in content
    assert sealed.path.stat().st_mode & 0o777 == 0o600
    assert sealed.path.parent.stat().st_mode & 0o777 == 0o700


def test_the_same_content_is_never_sealed_alike(sealed):
    sealed.put("a", APP)
    first = sealed.path.read_bytes()
    sealed.put("a", APP)

    one, two = parse(first, "local"), parse(sealed.path.read_bytes(), "local")
    assert one.entries["a"] != two.entries["a"]
    assert one.manifest != two.manifest


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0", "x" * 201, "a\u202eb"])
def test_names_that_are_refused(sealed, name):
    """Threat 24."""
    assert "a secret's name has 1 to 200 printable characters" in refusal(sealed.put, name, APP)
    assert not sealed.path.exists()


# -- what is done to the file ------------------------------------------------------------------------------


def changed(sealed, change) -> None:
    content = cbor2.loads(sealed.path.read_bytes())
    change(content)
    sealed.path.write_bytes(cbor2.dumps(content))


def test_two_entries_cannot_be_swapped(sealed):
    sealed.put("a", APP)
    sealed.put("b", ROOT)

    def swap(content):
        entries = content["entries"]
        entries["a"], entries["b"] = entries["b"], entries["a"]

    changed(sealed, swap)

    assert "the entry a was changed or put back from elsewhere" in refusal(sealed.get, "a")
    assert "the entry b was changed" in refusal(sealed.get, "b")


def test_an_entry_is_bound_to_its_name_even_for_who_has_the_key(tmp_path):
    key = SealingKey("local", Secret(secrets.token_bytes(32)))
    box = key.seal_entry("a", APP)
    from recgate_sealed.sealing import Described, digest

    described = Described(digest(box), "app", "password", 1.0)

    assert key.open_entry("a", box, described) == APP
    assert "the entry b was changed" in refusal(key.open_entry, "b", box, described)


def test_one_entry_cannot_be_rolled_back(sealed):
    sealed.put("a", APP)
    old = parse(sealed.path.read_bytes(), "local").entries["a"]
    sealed.put("a", ROOT)
    changed(sealed, lambda content: content["entries"].update(a=old))

    assert "the entry a was changed or put back" in refusal(sealed.get, "a")


def test_an_entry_cannot_be_taken_out_or_put_in_unseen(sealed):
    sealed.put("a", APP)
    box = parse(sealed.path.read_bytes(), "local").entries["a"]
    changed(sealed, lambda content: content.update(entries={"b": box}))

    assert "the entry a was taken out" in refusal(sealed.get, "a")
    assert "has no 'b'" in refusal(sealed.get, "b")


def test_a_file_of_another_vault_is_refused(tmp_path):
    key = secrets.token_bytes(32)
    for name in ("one", "two"):
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.key").chmod(0o600)
    vaults = {
        name: open_file(tmp_path, SealedSettings(name=name, key=KeySource(file=tmp_path / f"{name}.key")))
        for name in ("one", "two")
    }
    vaults["one"].put("a", APP)
    vaults["two"].path.write_bytes(vaults["one"].path.read_bytes())
    assert "its file belongs to the vault 'one'" in refusal(vaults["two"].get, "a")

    changed(vaults["two"], lambda content: content.update(vault="two"))
    assert "is not the one that" in refusal(vaults["two"].get, "a")


def test_every_flipped_bit_is_noticed(sealed):
    sealed.put("a", APP)
    content = sealed.path.read_bytes()
    for position in range(len(content)):
        for bit in (0x01, 0x80):
            flipped = bytearray(content)
            flipped[position] ^= bit
            sealed.path.write_bytes(flipped)
            refusal(sealed.get, "a")


@pytest.mark.parametrize("length", [0, 1, 10, 100, -1])
def test_a_cut_file_is_refused(sealed, length):
    sealed.put("a", APP)
    sealed.path.write_bytes(sealed.path.read_bytes()[:length])

    assert "Restore it from a backup" in refusal(sealed.get, "a")
    assert "Restore it from a backup" in refusal(sealed.put, "b", APP)


@given(st.binary(max_size=300))
def test_garbage_is_refused_and_nothing_else_is_raised(data):
    with pytest.raises(VaultFailed):
        parse(data, "local")


@pytest.mark.parametrize(
    "content",
    [
        5,
        [],
        {},
        {"format": 2},
        {"format": 1},
        {"format": 1, "vault": "local", "salt": b"", "check": b"", "manifest": b"", "entries": {1: 2}},
    ],
)
def test_what_has_another_shape_is_refused(content):
    with pytest.raises(VaultFailed, match=r"damaged|newer"):
        parse(cbor2.dumps(content), "local")


# -- keys --------------------------------------------------------------------------------------------------


def test_a_key_is_generated_once_and_kept_from_others(sealed, tmp_path):
    sealed.put("a", APP)
    path = tmp_path / "keys" / "sealed-local"

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == 32
    assert open_file(tmp_path, SealedSettings()).get("a") == APP


def test_a_lost_key_is_never_made_anew_for_a_vault_that_exists(sealed, tmp_path):
    sealed.put("a", APP)
    (tmp_path / "keys" / "sealed-local").unlink()

    assert "its key is not in" in refusal(sealed.get, "a")
    assert "its key is not in" in refusal(sealed.put, "b", APP)
    assert not (tmp_path / "keys" / "sealed-local").exists()


def test_a_wrong_key_is_told_from_a_damaged_file(sealed, tmp_path):
    sealed.put("a", APP)
    (tmp_path / "keys" / "sealed-local").write_bytes(secrets.token_bytes(32))

    text = refusal(sealed.get, "a")
    assert "is not the one that" in text
    assert str(tmp_path / "keys" / "sealed-local") in text


def test_a_key_that_others_may_read_is_refused(sealed, tmp_path):
    sealed.put("a", APP)
    (tmp_path / "keys" / "sealed-local").chmod(0o644)

    assert "others may read it (mode 0644). Run `chmod 600" in refusal(sealed.get, "a")


@pytest.mark.parametrize(
    "write", [bytes, lambda key: base64.b64encode(key) + b"\n", lambda key: key.hex().encode()]
)
def test_a_key_file_is_raw_base64_or_hexadecimal(tmp_path, write):
    (tmp_path / "k").write_bytes(write(secrets.token_bytes(32)))
    (tmp_path / "k").chmod(0o600)
    sealed = open_file(tmp_path, SealedSettings(key=KeySource(file=tmp_path / "k")))
    sealed.put("a", APP)

    assert sealed.get("a") == APP


def test_a_key_may_come_from_the_environment(tmp_path, monkeypatch):
    sealed = open_file(tmp_path, SealedSettings(key=KeySource(environment="VAULT_KEY")))
    assert "the variable VAULT_KEY is not set" in refusal(sealed.put, "a", APP)

    monkeypatch.setenv("VAULT_KEY", base64.b64encode(secrets.token_bytes(32)).decode())
    sealed.put("a", APP)
    assert sealed.get("a") == APP

    monkeypatch.setenv("VAULT_KEY", secrets.token_bytes(32).hex())
    assert "the key in the variable VAULT_KEY is not the one" in refusal(sealed.get, "a")
    monkeypatch.setenv("VAULT_KEY", "tooshort-hunter2")
    text = refusal(sealed.get, "a")
    assert "is not a key of 32 bytes" in text
    assert "hunter2" not in text


def test_a_passphrase_opens_it_with_its_own_salt(tmp_path, monkeypatch):
    monkeypatch.setenv("PHRASE", "a long enough passphrase")
    sealed = open_file(tmp_path, SealedSettings(key=KeySource(passphrase_environment="PHRASE")))
    sealed.put("a", APP)
    (tmp_path / "phrase").write_text("a long enough passphrase\n")
    (tmp_path / "phrase").chmod(0o600)

    by_file = open_file(tmp_path, SealedSettings(key=KeySource(passphrase_file=tmp_path / "phrase")))
    assert by_file.get("a") == APP
    monkeypatch.setenv("PHRASE", "another long passphrase")
    again = open_file(tmp_path, SealedSettings(key=KeySource(passphrase_environment="PHRASE")))
    assert "is not the one" in refusal(again.get, "a")
    monkeypatch.setenv("PHRASE", "short")
    short = open_file(tmp_path, SealedSettings(key=KeySource(passphrase_environment="PHRASE")))
    assert "has less than 12 characters" in refusal(short.get, "a")


@pytest.mark.parametrize("source", [{}, {"file": "a", "environment": "B"}, {"fil": "a"}])
def test_a_key_has_exactly_one_source(source):
    with pytest.raises(ValidationError):
        SealedSettings.model_validate({"key": source})


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "a:b", "a\0"])
def test_names_of_vaults_that_are_refused(name):
    with pytest.raises(ValidationError):
        SealedSettings.model_validate({"name": name})


def test_a_master_key_names_its_source_and_nothing_secret(tmp_path):
    assert MasterKey("x", tmp_path, None).describe() == str(tmp_path / "sealed-x")
    assert not MasterKey("x", tmp_path, None).remembers
    assert MasterKey("x", tmp_path, KeySource(passphrase_environment="P")).remembers


# -- writers -----------------------------------------------------------------------------------------------


def test_writers_do_not_lose_each_others_entries(tmp_path):
    barrier = threading.Barrier(6)

    def write(number):
        barrier.wait()
        open_file(tmp_path, SealedSettings()).put(f"n{number}", APP)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(open_file(tmp_path, SealedSettings()).names()) == [f"n{n}" for n in range(6)]


def test_a_directory_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "vaults").write_text("")

    assert "Make it writable" in refusal(open_file(tmp_path, SealedSettings()).put, "a", APP)


def test_a_file_that_is_too_large_is_not_read_whole(sealed):
    sealed.put("a", APP)
    os.truncate(sealed.path, (64 << 20) + 1)

    assert "is larger than" in refusal(sealed.get, "a")
