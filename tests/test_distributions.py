"""Every in-tree plugin is packaged as a vendor's would be, and everything that is installed is pinned."""

import re
import tomllib
from importlib.metadata import Distribution, distributions, entry_points, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.workspace import tree

DEBIAN_12_PYTHON = "3.11.2"

CORE = tomllib.loads(tree.read(Path("core/pyproject.toml")))
WORKSPACE = tomllib.loads(tree.read(Path("pyproject.toml")))
PLUGIN_NAMES = sorted(plugin.name for plugin in tree.plugins())
REQUIREMENTS = [path for path in tree.tracked() if path.match("requirements/*.txt")]


def pyproject(name):
    return tomllib.loads((tree.ROOT / "plugins" / name / "pyproject.toml").read_text())


def module(name):
    return f"recgate_{name.replace('-', '_')}"


def requirements(lines):
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def pins():
    found = {}
    for requirement in requirements(tree.read(Path("constraints.txt")).splitlines()):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{requirement} is not a pin"
        assert requirement.url is None
        name = canonicalize_name(requirement.name)
        assert name not in found, f"{name} is pinned twice"
        found[name] = Version(specifier.version)
    return found


@pytest.mark.parametrize("name", PLUGIN_NAMES)
def test_the_plugin_has_a_vendors_shape(name):
    it = pyproject(name)
    project = it["project"]

    assert project["name"] == f"recgate-{name}"
    assert project["description"]
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == CORE["project"]["requires-python"]
    assert project["entry-points"] == {"recgate": {name: f"{module(name)}.plugin"}}
    assert it["build-system"] == CORE["build-system"]
    assert it["tool"] == {
        "hatch": {
            "build": {
                "targets": {
                    "wheel": {"packages": [f"src/{module(name)}"]},
                    "sdist": {"include": ["src", "tests", "README.md"]},
                }
            }
        }
    }, "a vendor has no workspace to lean on: tooling belongs in the root's pyproject.toml"


@pytest.mark.parametrize("name", PLUGIN_NAMES)
def test_the_plugin_says_which_core_it_is_built_for(name):
    (core,) = [
        requirement
        for requirement in requirements(pyproject(name)["project"]["dependencies"])
        if requirement.name == "recgate"
    ]

    assert {specifier.operator for specifier in core.specifier} == {">=", "<"}
    assert core.specifier.contains(version("recgate"))


@pytest.mark.parametrize("name", PLUGIN_NAMES)
@pytest.mark.parametrize("file", ["README.md", "src/{module}/__init__.py", "src/{module}/py.typed"])
def test_the_plugin_brings_its_files(name, file):
    assert (tree.ROOT / "plugins" / name / file.format(module=module(name))).is_file()


@pytest.mark.parametrize("name", PLUGIN_NAMES)
def test_the_plugins_entry_point_is_installed_and_loads(name):
    (entry_point,) = entry_points(group="recgate", name=name)

    assert entry_point.dist is not None
    assert entry_point.dist.name == f"recgate-{name}"
    assert entry_point.load().__name__ == f"{module(name)}.plugin"


@pytest.mark.parametrize("name", PLUGIN_NAMES)
def test_the_plugin_has_tests_of_its_own(name):
    own = [path for path in tree.tests() if path.is_relative_to(Path("plugins", name, "tests"))]

    assert [path for path in own if path.name.startswith("test_")]


def test_the_root_knows_every_distribution():
    linter = WORKSPACE["tool"]["importlinter"]
    contracts = {contract["id"]: contract for contract in linter["contracts"]}
    modules = [module(name) for name in PLUGIN_NAMES]

    assert sorted(WORKSPACE["tool"]["uv"]["sources"]) == [
        "recgate",
        *(f"recgate-{name}" for name in PLUGIN_NAMES),
    ]
    assert linter["root_packages"] == ["recgate", *modules]
    assert contracts["core"]["forbidden_modules"] == modules
    assert contracts["plugins"]["modules"] == modules


@pytest.mark.parametrize("path", REQUIREMENTS, ids=str)
def test_every_requirement_is_pinned(path):
    lines = [] if path.stem.endswith("debian") else tree.read(path).splitlines()
    missing = [str(need) for need in requirements(lines) if canonicalize_name(need.name) not in pins()]

    assert missing == []


@pytest.mark.parametrize("project", ["core", *(f"plugins/{name}" for name in PLUGIN_NAMES)])
def test_every_dependency_is_pinned_to_a_version_it_allows(project):
    it = tomllib.loads(tree.read(Path(project) / "pyproject.toml"))
    pinned = pins()

    for need in requirements(it["project"]["dependencies"]):
        if need.name == "recgate":
            continue
        assert need.specifier, f"{need} has no lower bound"
        assert need.specifier.contains(pinned[canonicalize_name(need.name)]), f"{need} against its pin"


def test_what_is_installed_is_what_is_pinned():
    pinned = pins()
    needed = requirements(tree.read(Path("requirements/test.txt")).splitlines())
    astray = [
        str(need) for need in needed if Version(version(need.name)) != pinned[canonicalize_name(need.name)]
    ]

    assert astray == []


def test_what_is_pinned_runs_on_the_python_of_debian_12():
    """A pin that was resolved on a newer 3.11 stops `make test` on the machine that the README promises."""
    wanted = {found.name: found.metadata["Requires-Python"] for found in distributions() if _asks(found)}
    refused = {name: text for name, text in wanted.items() if DEBIAN_12_PYTHON not in SpecifierSet(text)}

    assert refused == {}


def _asks(found: Distribution) -> bool:
    return "Requires-Python" in found.metadata


def test_the_core_has_one_version():
    assert "version" in CORE["project"]["dynamic"]
    (found,) = re.findall(r'^__version__ = "(.+)"$', tree.read(Path("core/src/recgate/__init__.py")), re.M)
    assert version("recgate") == found
