"""One gateway a data directory."""

from __future__ import annotations

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
