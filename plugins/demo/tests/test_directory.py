"""The demo's directory is its own, and one demo's at a time."""

import pytest

from recgate_demo.directory import LOCK, demo_directory
from recgate_demo.errors import DemoError


def test_what_an_earlier_demo_left_is_kept_unless_a_fresh_start_is_wanted(tmp_path):
    place = tmp_path / "demo"
    with demo_directory(place, fresh=False) as directory:
        (directory / "data").mkdir()
        (directory / "data" / "recording").touch()

    with demo_directory(place, fresh=False) as directory:
        assert (directory / "data" / "recording").exists()

    with demo_directory(place, fresh=True) as directory:
        assert [each.name for each in directory.iterdir()] == [LOCK]


@pytest.mark.parametrize("fresh", [True, False])
def test_somebody_elses_directory_is_left_alone(tmp_path, fresh):
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(DemoError, match="no demo wrote"), demo_directory(tmp_path, fresh=fresh):
        pytest.fail("it was taken")

    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_demos_do_not_share_one(tmp_path):
    place = tmp_path / "demo"
    with (
        demo_directory(place, fresh=False),
        pytest.raises(DemoError, match="another demo is using"),
        demo_directory(place, fresh=True),
    ):
        pytest.fail("both have it")


def test_a_place_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(DemoError, match="--directory"),
        demo_directory(tmp_path / "file" / "demo", fresh=False),
    ):
        pytest.fail("it was made")
