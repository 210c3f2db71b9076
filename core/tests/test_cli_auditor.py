"""`recgate auditor`: a key pair whose private half is in one file, for one reader."""

from __future__ import annotations

import stat

import pytest
from click.testing import CliRunner

from recgate.cli import main
from recgate.cli.auditor import read_identity, read_recipient
from recgate.errors import RecgateError
from recgate.recipients.keys import HYBRID, X25519


def run(*words, status=0):
    result = CliRunner().invoke(main, ["auditor", *map(str, words)])
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.parametrize(("options", "kind"), [([], X25519), (["--pq"], HYBRID)])
def test_a_new_pair(tmp_path, options, kind):
    path = tmp_path / "auditor.key"
    public = run("new", *options, "-o", path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    identity = read_identity(path)
    assert identity.kind == kind
    assert public == identity.recipient.text + "\n"
    assert path.read_text().startswith(f"# public key: {public}")
    assert read_recipient(public) == identity.recipient


def test_a_key_is_never_written_over(tmp_path):
    path = tmp_path / "auditor.key"
    path.write_text("precious")

    assert "exists, and a key is never written over" in run("new", "-o", path, status=2)
    assert path.read_text() == "precious"


def test_a_directory_that_is_not_there_is_named(tmp_path):
    assert "cannot be written: No such file" in run("new", "-o", tmp_path / "no" / "key", status=2)


@pytest.mark.parametrize(
    "text", ["", "# only words\n", "rgkey1qqqq\n", "a\nb\n", "é\n", "x" * 70_000], ids=lambda text: text[:8]
)
def test_what_is_no_key_file_is_refused_and_not_repeated(tmp_path, text):
    path = tmp_path / "wrong.key"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(RecgateError, match=r"wrong\.key") as raised:
        read_identity(path)
    assert len(str(raised.value)) < 400
    assert "rgkey1qqqq" not in str(raised.value)


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "auditor.key"
    run("new", "-o", path)
    path.chmod(0o640)
    with pytest.raises(RecgateError, match=r"others may read it \(mode 0640\). Run `chmod 600"):
        read_identity(path)


def test_a_key_file_that_is_not_there(tmp_path):
    with pytest.raises(RecgateError, match="none does not exist"):
        read_identity(tmp_path / "none")


def test_a_public_key_that_is_none():
    with pytest.raises(RecgateError, match="what --to says is not a key"):
        read_recipient("x")
