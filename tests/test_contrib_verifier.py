"""The stand-alone verifier says of recordings and bundles what `recgate verify` says, and shares nothing with it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.tests.recorded import SQL, Archive
from core.tests.test_cli_bundles import rewritten
from recgate.cli import main

PROGRAM = Path("contrib/verifier/recgate_verifier.py").absolute()
ALLOWED = ("cbor2", "cryptography", "cffi", "_cffi_backend.*", "pycparser")
# Two libraries and what they need are importable, and nothing else that is installed.
ISOLATED = """
import sys
allowed, program, *sys.argv = sys.argv[1:]
sys.path = [place for place in sys.path if "site-packages" not in place and "/work" not in place] + [allowed]
sys.argv.insert(0, program)
exec(compile(open(program).read(), program, "exec"), {"__name__": "__main__"})
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """A directory with links to the two libraries alone."""
    place = tmp_path_factory.mktemp("libraries")
    site = next(Path(each) for each in sys.path if (Path(each) / "cbor2").is_dir())
    for pattern in (*ALLOWED, "_cbor2*"):
        for found in site.glob(pattern):
            (place / found.name).symlink_to(found)
    return place


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("standalone"))
    archive.session, archive.other = archive.record(SQL, SQL[:2])
    archive.run("export", archive.session, "--format", "bundle", "-o", str(archive.path / "bundle.zip"))
    return archive


@pytest.fixture
def copy(made, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(made.data / "recordings", place / "recordings")
    shutil.copytree(made.data / "ledger", place / "ledger")
    for path in place.rglob("*"):
        path.chmod(0o700)
    shutil.copy(made.path / "bundle.zip", place)
    return place


def both(libraries, trust, place, *words):
    """Run both on one place; gives exit status and the worst word, which must be the same of both."""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", ISOLATED, libraries, PROGRAM, "--trust", trust, "--json", place],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not ran.stderr, ran.stderr
    named = [str(place)] if place.is_file() else ["--all", "--store", str(place)]
    ours = CliRunner().invoke(main, ["verify", "--trust", str(trust), "--json", *named])
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    theirs = sorted(row["status"] for row in rows if row["session"] != "ledger")
    mine = sorted(
        row["status"] for row in map(json.loads, ours.stdout.splitlines()) if row["session"] != "ledger"
    )
    assert (ran.returncode, theirs) == (ours.exit_code, mine), f"{ran.stdout}\n{ours.output}"
    return ran.returncode, theirs


def test_it_imports_two_libraries_and_nothing_of_ours():
    tree = ast.parse(PROGRAM.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    foreign = {name.partition(".")[0] for name in names} - sys.stdlib_module_names
    assert foreign == {"cbor2", "cryptography"}


def test_what_holds_holds_for_both(libraries, made, copy):
    trust = made.data / "trust.json"
    assert both(libraries, trust, copy / "recordings") == (0, ["complete", "complete"])
    assert both(libraries, trust, copy / "bundle.zip") == (0, ["complete"])


def flip(path, place=-1):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if place < 0 else place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        lambda place, one: flip(one / "000001.seg"),
        lambda place, one: flip(one / "header.cbor"),
        lambda place, one: (one / "000001.seg").unlink(),
        lambda place, one: (one / "header.cbor").unlink(),
        lambda place, one: shutil.rmtree(one),
        lambda place, one: (one / "stranger").touch(),
        lambda place, one: (one / "000001.seg").rename(one / "000002.seg"),
        lambda place, one: shutil.copy(one / "000001.seg", one / "000002.seg"),
        lambda place, one: (one / "000001.seg").write_bytes((one / "000001.seg").read_bytes()[:-1]),
        lambda place, one: flip(place / "ledger/checkpoint", 30),
    ],
    ids=[
        "flip",
        "header",
        "no-segment",
        "no-header",
        "gone",
        "stranger",
        "renamed",
        "twice",
        "cut",
        "checkpoint",
    ],
)
def test_both_see_what_was_changed(libraries, made, copy, change):
    (one,) = (copy / "recordings").rglob(made.session)
    change(copy, one)
    status, _ = both(libraries, made.data / "trust.json", copy / "recordings")
    assert status == 1


@pytest.mark.parametrize("prefix", ["ledger/", "recording/000001.seg", "recording/header.cbor"])
def test_both_miss_what_was_taken_out_of_a_bundle(libraries, made, copy, prefix):
    def change(objects):
        for name in [name for name in objects if name.startswith(prefix)]:
            del objects[name]

    bundle = rewritten(copy / "bundle.zip", change)
    assert both(libraries, made.data / "trust.json", bundle)[0] == 1


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.8, 0.99])
def test_both_see_a_flipped_byte_of_a_bundle(libraries, made, copy, part):
    bundle = copy / "bundle.zip"
    flip(bundle, int(bundle.stat().st_size * part))
    assert both(libraries, made.data / "trust.json", bundle) == (1, ["altered"])


def test_both_believe_nobody_who_is_not_named(libraries, made, copy, tmp_path):
    trust = json.loads((made.data / "trust.json").read_text())
    trust["identity"], trust["ledger"] = [], []
    (tmp_path / "empty.json").write_text(json.dumps(trust))
    assert both(libraries, tmp_path / "empty.json", copy / "bundle.zip") == (1, ["untrusted"])


def test_its_bundle_is_one_that_zip_tools_open(copy):
    with zipfile.ZipFile(copy / "bundle.zip") as file:
        assert file.testzip() is None
