"""`recgate demo` says what is in its way, and gives the status that its caller waits for."""

import pytest
from click.testing import CliRunner

from recgate_demo.command import demo


@pytest.mark.parametrize(("words", "status"), [(["--check"], 1), ([], 2)])
def test_somebody_elses_directory_ends_it_at_once(tmp_path, words, status):
    (tmp_path / "thesis.txt").touch()

    done = CliRunner().invoke(demo, [*words, "--directory", str(tmp_path)])

    assert done.exit_code == status
    assert "no demo wrote" in done.output


@pytest.mark.parametrize(("words", "status"), [(["--check"], 1), ([], 2)])
def test_missing_clients_are_named(tmp_path, monkeypatch, words, status):
    monkeypatch.setenv("PATH", str(tmp_path))

    done = CliRunner().invoke(demo, [*words, "--directory", str(tmp_path / "demo")])

    assert done.exit_code == status
    assert "apt-get install openssh-client postgresql-client-15" in done.output
