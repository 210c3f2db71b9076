"""The targets run as nobody in particular, in places that they can get at."""

import os
import pwd
import stat

import pytest

from recgate_demo.accounts import SHELL_ACCOUNTS, Account, account_for, may_read, scratch_directory
from recgate_demo.errors import DemoError

STRANGER = Account("stranger", 12345, 12345, change=True)


def test_an_account_is_never_root():
    account = account_for(SHELL_ACCOUNTS)

    assert account.uid != 0
    assert account.change is (os.geteuid() == 0)
    assert pwd.getpwuid(account.uid).pw_name == account.name


def test_without_any_account_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(DemoError, match="as somebody other than root"):
        account_for(["no-such-account-here"])


def test_a_file_below_a_private_directory_cannot_be_read(tmp_path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    (private / "file").touch()

    assert not may_read(STRANGER, private / "file")
    assert may_read(Account("me", os.geteuid(), os.getegid(), change=False), private / "file")


def test_scratch_is_where_strangers_can_pass(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    made = scratch_directory([STRANGER])

    try:
        assert tmp_path not in made.parents, "TMPDIR is closed to the account"
        assert stat.S_IMODE(made.stat().st_mode) == 0o711
    finally:
        made.rmdir()
