"""A plugin from the template is a plugin: installed, it passes its own tests, is listed, and a gateway uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cookiecutter.main import cookiecutter

from recgate.plugins.rendering import KINDS, render, values
from recgate.testing.process import GatewayProcess
from tests.peers.postgres import PASSWORD, Cluster, debian_bin
from tests.workspace import tree

WORDS = {"policy": "no-drops", "masker": "badges"}
PIP = ("-m", "pip", "--disable-pip-version-check", "-q")
ALONE = ("--no-deps", "--no-build-isolation")


def run(*command: str | Path, cwd: Path, site: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    if site:
        environment["PYTHONPATH"] = str(site)
    done = subprocess.run(
        [sys.executable, *command], check=False, cwd=cwd, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def contents(directory: Path) -> dict[str, str]:
    """Every file that was written; its own tests, when they ran, have left compiled ones beside them."""
    found = (path for path in directory.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    return {str(path.relative_to(directory)): path.read_text() for path in found}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What `recgate plugins new` writes, by kind."""
    parent = tmp_path_factory.mktemp("made")
    for kind, word in WORDS.items():
        run("-m", "recgate", "plugins", "new", kind, word, "--directory", parent, cwd=parent)
    return {kind: parent / values(kind, word)["distribution"] for kind, word in WORDS.items()}


@pytest.fixture(scope="module")
def site(made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both are installed, beside the workspace's own environment."""
    directory = tmp_path_factory.mktemp("site")
    run(*PIP, "install", *ALONE, "--target", directory, *made.values(), cwd=directory)
    return directory


@pytest.mark.parametrize("kind", KINDS)
def test_cookiecutter_writes_the_same(kind: str, made: dict[str, Path], tmp_path: Path) -> None:
    written = cookiecutter(
        str(tree.ROOT / "plugin-template" / kind),
        no_input=True,
        extra_context={"word": WORDS[kind]},
        output_dir=str(tmp_path),
        config_file=str(_configuration(tmp_path)),
    )

    assert Path(written).name == made[kind].name
    assert contents(Path(written)) == contents(made[kind])


def test_cookiecutter_offers_every_kind() -> None:
    offered = json.loads(tree.read(Path("plugin-template/cookiecutter.json")))["templates"]

    assert tuple(offered) == KINDS
    for kind, each in offered.items():
        assert (tree.ROOT / "plugin-template" / each["path"] / "cookiecutter.json").is_file(), kind


def _configuration(directory: Path) -> Path:
    """Cookiecutter keeps what it was asked in a home directory; a test's is its own."""
    kept = {"cookiecutters_dir": str(directory / ".cut"), "replay_dir": str(directory / ".replay")}
    path = directory / "cookiecutter.yaml"
    path.write_text(json.dumps(kept))
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_tests_pass_over_what_is_installed(kind: str, made: dict[str, Path], site: Path) -> None:
    said = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=made[kind], site=site)

    assert int(said.rpartition("\n")[0].rpartition("\n")[2].split()[0]) >= 10
    assert "failed" not in said


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_in_shape(kind: str, made: dict[str, Path]) -> None:
    configuration = ("--config", str(tree.ROOT / "pyproject.toml"))

    run(
        "-m",
        "ruff",
        "check",
        "--no-cache",
        *configuration,
        "--ignore",
        "INP001,I001",
        made[kind],
        cwd=made[kind],
    )
    run("-m", "ruff", "format", "--no-cache", "--check", *configuration, made[kind], cwd=made[kind])


def test_they_are_listed_with_what_they_provide(site: Path, tmp_path: Path) -> None:
    listing = run("-m", "recgate", "plugins", "--json", cwd=tmp_path, site=site)
    found = {row["name"]: row for row in map(json.loads, listing.splitlines())}

    assert found["policy-no-drops"]["distribution"] == "recgate-policy-no-drops"
    assert "policies no-drops" in found["policy-no-drops"]["provides"]
    assert "masks badges" in found["badges"]["provides"]
    assert not found["badges"]["error"]
    assert not found["policy-no-drops"]["error"]


@pytest.fixture
def gate(tmp_path: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayProcess]:
    monkeypatch.setenv("PYTHONPATH", str(site))
    with Cluster(debian_bin(), tls=False) as cluster:
        cluster.psql("create table staff (badge text); insert into staff values ('EMP-123456')")
        cluster.psql(
            "grant all on staff to scram_user; create table old (n int); alter table old owner to scram_user"
        )
        process = GatewayProcess(
            tmp_path,
            {
                "listeners": [{"protocol": "postgres", "bind": "127.0.0.1:0"}],
                "targets": [cluster.target("prod-db", labels={"env": "prod"})],
                "policies": [
                    {"no-drops": {"verbs": ["DROP"], "label": "env=prod", "message": "Not in prod."}}
                ],
                "masks": [{"name": "staff", "badges": {"prefix": "EMP"}}],
            },
        )
        process.run("user", "add", "alice", "--group", "ops")
        secret = ("secret", "set", "prod-db", "--username", "scram_user", "--password-stdin")
        process.run(*secret, stdin=PASSWORD + "\n")
        with process:
            yield process


def test_a_gateway_uses_them(gate: GatewayProcess) -> None:
    with psycopg.connect(
        host="127.0.0.1",
        port=gate.port("postgres"),
        user="prod-db",
        password=gate.token("alice"),
        sslmode="disable",
        autocommit=True,
    ) as connection:
        assert connection.execute("select 'badge ' || badge from staff").fetchall() == [("badge **********",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"no-drops: Not in prod\."):
            connection.execute("drop table old")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="no-drops"):
            connection.execute("do $$ begin execute 'drop table old'; end $$")
        assert connection.execute("select count(*) from old").fetchall() == [(0,)]


def test_a_wheel_has_the_template(tmp_path: Path, made: dict[str, Path]) -> None:
    run(*PIP, "wheel", *ALONE, "--wheel-dir", tmp_path, tree.ROOT / "core", cwd=tmp_path)
    (wheel,) = tmp_path.glob("recgate-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")

    where = "from recgate.plugins import rendering; print(rendering.__file__)"
    assert run("-c", where, cwd=tmp_path, site=tmp_path / "site").startswith(str(tmp_path))
    words = ("plugins", "new", "masker", WORDS["masker"])
    run("-m", "recgate", *words, cwd=tmp_path, site=tmp_path / "site")

    assert contents(tmp_path / made["masker"].name) == contents(made["masker"])


def test_render_and_command_agree(made: dict[str, Path], tmp_path: Path) -> None:
    assert contents(render("policy", values("policy", WORDS["policy"]), tmp_path)) == contents(made["policy"])
