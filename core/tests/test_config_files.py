"""Which file counts, and what happens to one that cannot be read."""

from pathlib import Path

import pytest

from core.tests.small_plugins import BASE, everything
from recgate import config
from recgate.config.files import EMBEDDED, find, load
from recgate.errors import ConfigurationError
from recgate.plugins import Registry


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RECGATE_CONFIG", raising=False)


def write(path: Path, name: str = "gate-1") -> Path:
    path.write_text(BASE.replace("gate-1", name))
    return path


def read(path=None):
    return load(path, Registry(everything(), path=[]))


def test_the_order_is_option_environment_here_embedded(tmp_path, monkeypatch):
    assert find() is None
    write(tmp_path / "recgate.yaml", "here")
    assert read().gateway.name == "here"
    monkeypatch.setenv("RECGATE_CONFIG", str(write(tmp_path / "env.yaml", "env")))
    assert read().gateway.name == "env"
    assert read(write(tmp_path / "given.yaml", "given")).gateway.name == "given"


def test_paths_are_meant_from_the_file_wherever_one_stands(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    file = write(tmp_path / "etc" / "recgate.yaml")
    monkeypatch.chdir("/")

    found = read(file)

    assert found.data_dir == tmp_path / "etc" / "data"
    assert found.source == file


def test_an_environment_that_names_no_file_is_not_passed_over(monkeypatch):
    monkeypatch.setenv("RECGATE_CONFIG", "/nowhere/recgate.yaml")

    with pytest.raises(ConfigurationError, match=r"/nowhere/recgate\.yaml: cannot be read: No such file"):
        read()


def test_what_is_not_utf_8_is_named_with_its_line(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"gateway: {}\n# \xff\n")

    with pytest.raises(ConfigurationError, match=r"bad\.yaml:2: \(the file\): is not UTF-8"):
        read(file)


def test_the_embedded_defaults_need_their_plugins_and_say_so(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        load(None, Registry(path=[]))

    problems = refused.value.problems
    assert len(problems) == 5
    assert all(problem.startswith(EMBEDDED) for problem in problems)
    for name in ("local", "sealed", "store-file", "catalog-sql", "search-fts5"):
        assert any(f"pip install recgate-{name}" in problem for problem in problems)


def test_the_package_gives_what_others_use():
    assert config.load is load
    assert config.find is find
