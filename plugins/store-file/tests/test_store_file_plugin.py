"""What the distribution brings, as the gateway finds it."""

from __future__ import annotations

import pytest

from recgate.config import load
from recgate.errors import ConfigurationError
from recgate.plugins import Registry
from recgate_store_file import plugin
from recgate_store_file.plugin import FileStoreSettings, recgate_settings
from recgate_store_file.store import FileStore


def test_the_entry_point_is_found_and_in_order():
    registry = Registry()
    registry.load(["store-file"])
    assert registry.loaded["store-file"].module is plugin
    assert registry.settings["store", "file"] is FileStoreSettings


@pytest.mark.parametrize(
    ("options", "place"), [("{}", "data/recordings"), ("{path: elsewhere}", "elsewhere")]
)
def test_recordings_lie_in_data_dir_unless_told_otherwise(tmp_path, options, place):
    file = tmp_path / "recgate.yaml"
    file.write_text(f"gateway: {{name: g, data_dir: data}}\nrecording: {{store: {{file: {options}}}}}\n")
    store = Registry.of(load(file)).store
    assert isinstance(store, FileStore)
    assert store.root == tmp_path / place
    assert not store.root.exists()


def test_its_settings_are_one_model():
    (model,) = recgate_settings()
    assert (model.section, model.word) == ("store", "file")


def test_an_unknown_key_is_refused_with_file_and_line(tmp_path):
    file = tmp_path / "recgate.yaml"
    file.write_text("gateway: {name: g, data_dir: data}\nrecording:\n  store:\n    file:\n      pth: x\n")
    with pytest.raises(
        ConfigurationError, match=r"recgate\.yaml:5: recording\.store\.file\.pth: there is no such key"
    ):
        load(file)
