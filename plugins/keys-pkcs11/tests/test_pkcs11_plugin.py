"""The keeper is there when `gateway: keys:` names it, and asks nothing of a token before it is used."""

from __future__ import annotations

import pytest

from recgate.config.files import load
from recgate.errors import ConfigurationError
from recgate.plugins import Registry
from recgate_keys_pkcs11 import plugin
from recgate_keys_pkcs11.settings import Pkcs11Settings

BASE = "gateway: {name: gate-1, data_dir: data%s}\n"
KEYS = ", keys: {pkcs11: {module: /nowhere.so, token: gate, pin_file: pin}}"


def read(directory, keys):
    file = directory / "recgate.yaml"
    file.write_text(BASE % keys)
    return load(file, Registry())


def test_the_keeper_that_the_configuration_names(tmp_path):
    config = read(tmp_path, KEYS)
    keeper = Registry.of(config).keeper
    assert keeper is not None
    assert keeper.name == "pkcs11"
    options = config.keeper_options("pkcs11")
    assert isinstance(options, Pkcs11Settings)
    assert options.pin_file == tmp_path / "pin"
    assert config.keeper_options("transit") is None
    assert [each.name for each in plugin.recgate_key_keepers(config)] == ["pkcs11"]


def test_without_it_there_is_none(tmp_path):
    config = read(tmp_path, "")
    assert Registry.of(config).keeper is None
    assert list(plugin.recgate_key_keepers(config)) == []


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (", keys: {pkcs11: {module: /x.so, token: gate}}", r"gateway\.keys\.pkcs11\.pin_file: is missing"),
        (", keys: {pkcs11: {module: /x.so, token: '', pin_file: p}}", "token"),
        (", keys: {pkcs12: {}}", "no installed plugin provides the keeper of keys `pkcs12`"),
        (", keys: pkcs11", "should be a mapping"),
    ],
)
def test_what_is_wrong_is_told_by_key(tmp_path, keys, why):
    with pytest.raises(ConfigurationError, match=why):
        read(tmp_path, keys)
