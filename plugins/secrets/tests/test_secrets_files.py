"""Files below one directory, which others cannot read and no link leads away from."""

import contextlib
import os

import pytest

from recgate.errors import VaultFailed
from recgate.model import Principal, Secret, TargetInfo
from recgate_secrets.files import FileSettings, FileVault
from recgate_secrets.parsing import MAX_SECRET

ALICE = Principal("local", "1", "alice")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None)
CANARY = "canary-99"


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "kept" / "prod").mkdir(parents=True)
    keep(tmp_path / "kept" / "prod" / "db", CANARY)
    keep(tmp_path / "outside", CANARY)
    return tmp_path / "kept"


def keep(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)


async def lent(directory, path):
    return (await FileVault(FileSettings(directory=directory)).lease(path, ALICE, TARGET, "S")).credential


async def test_a_file_is_lent_as_it_is_now(directory):
    assert (await lent(directory, "prod/db")).password == Secret(CANARY)
    keep(directory / "prod" / "db", "new")
    assert (await lent(directory, "prod/db")).password == Secret("new")


async def test_the_directory_itself_may_be_a_link(directory, tmp_path):
    (tmp_path / "link").symlink_to(directory)
    assert (await lent(tmp_path / "link", "prod/db")).password == Secret(CANARY)


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "prod/../../outside",
        "/etc/passwd",
        "",
        "prod//db",
        ".hidden",
        "prod/db/",
        "a\0b",
        "x/" * 9 + "x",
    ],
)
async def test_threat_24_a_path_that_leads_elsewhere_is_refused(directory, path):
    with pytest.raises(VaultFailed, match="is no file name below"):
        await lent(directory, path)


async def test_links_are_not_followed(directory, tmp_path):
    (directory / "file").symlink_to(tmp_path / "outside")
    (directory / "steps").symlink_to(tmp_path)
    for path in ("file", "steps/outside"):
        with pytest.raises(VaultFailed, match="a link is not followed") as refused:
            await lent(directory, path)
        assert CANARY not in str(refused.value)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o666])
async def test_a_file_that_others_may_get_at_is_refused(directory, mode):
    keep(directory / "open", CANARY, mode)
    with pytest.raises(VaultFailed, match="others may get at it"):
        await lent(directory, "open")


async def test_what_is_no_file_is_refused_and_does_not_hang(directory):
    os.mkfifo(directory / "pipe", 0o600)
    with pytest.raises(VaultFailed, match="is no file"):
        await lent(directory, "pipe")
    with pytest.raises(VaultFailed, match="is no file"):
        await lent(directory, "prod")
    with pytest.raises(VaultFailed, match="No such file"):
        await lent(directory, "absent")
    keep(directory / "large", "x" * (MAX_SECRET + 1))
    with pytest.raises(VaultFailed, match="is larger than"):
        await lent(directory, "large")


async def test_no_descriptor_is_left_open(directory):
    before = len(os.listdir("/proc/self/fd"))
    for path in ("prod/db", "absent", "prod"):
        with contextlib.suppress(VaultFailed):
            await lent(directory, path)
    assert len(os.listdir("/proc/self/fd")) == before
