"""One gateway a data directory."""

from __future__ import annotations

import os

import pytest

from recgate.datadir import locked_data_dir
from recgate.errors import ConfigurationError


def test_a_second_gateway_is_refused_until_the_first_is_gone(tmp_path) -> None:
    with locked_data_dir(tmp_path / "data"):
        with pytest.raises(ConfigurationError, match="another recgate is running"):
            with locked_data_dir(tmp_path / "data"):
                raise AssertionError("two gateways on one directory")
    with locked_data_dir(tmp_path / "data"):
        assert (tmp_path / "data" / "lock").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="file/data"), locked_data_dir(tmp_path / "file" / "data"):
        raise AssertionError("locked what is not there")


def test_a_directory_that_anybody_may_write_to_is_refused(tmp_path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o1777)
    with pytest.raises(ConfigurationError, match=r"anybody may write to it \(mode 1777\)\. Run `chmod o-w"):
        locked_data_dir(data).__enter__()
    data.chmod(0o755)
    os.chown(data, 12_345, -1)
    with pytest.raises(ConfigurationError, match="belongs to uid 12345"):
        locked_data_dir(data).__enter__()
    assert not list(data.iterdir())


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data" / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        locked_data_dir(tmp_path / "data").__enter__()
    assert not (tmp_path / "elsewhere").exists()
