"""What `recgate secret rewrap` takes for the old key when nobody says where that was."""

from recgate.model import Credential, Secret
from recgate_sealed.keysource import MasterKey
from recgate_sealed.moving import old_holder
from recgate_sealed.opening import open_file
from recgate_sealed.settings import KeySource, SealedSettings, Unlock
from recgate_sealed.wrappedkey import WrappedKey

UNLOCK = SealedSettings(unlock=Unlock(vault="hv", key="recgate"))


def no_plugins():
    raise AssertionError("no other vault is asked for")


def test_a_file_that_was_not_wrapped_has_the_generated_key(tmp_path):
    key = MasterKey("local", tmp_path / "keys", None)
    open_file(tmp_path, SealedSettings()).put("a", Credential("app", password=Secret("hunter2")))

    assert old_holder("", open_file(tmp_path, UNLOCK), tmp_path, no_plugins) == key


def test_otherwise_it_is_what_the_configuration_says(tmp_path):
    there = open_file(tmp_path, UNLOCK)
    assert isinstance(there.holder, WrappedKey)
    assert old_holder("", there, tmp_path, no_plugins) is there.holder
    own = open_file(tmp_path, SealedSettings(key=KeySource(environment="K")))
    assert old_holder("", own, tmp_path, no_plugins) is own.holder
