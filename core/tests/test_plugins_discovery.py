"""Plugins as they are really found: installed distributions with entry points, in a directory of their own."""

import sys
from pathlib import Path

import pytest

from core.tests.small_plugins import plugin
from recgate.errors import PluginError
from recgate.plugins import Registry
from recgate.plugins.discovery import GROUP, Candidate, discover, import_plugin
from recgate.plugins.overview import overview

GOOD = "recgate_api = 1\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory that Python imports from, and what was imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("tiny_"):
            del sys.modules[name]


def install(
    site: Path, distribution: str, module: str, source: str, *, name: str = "tiny", version: str = "1.2"
) -> None:
    """Put a distribution where an installer would."""
    info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {module}\n")
    (site / f"{module.partition(':')[0]}.py").write_text(source)


def refusal(site: Path) -> str:
    registry = Registry(path=[str(site)])
    with pytest.raises(PluginError) as refused:
        registry.load(["tiny"])
    return str(refused.value)


def test_an_installed_plugin_is_found_and_not_imported(site):
    install(site, "vendor-tiny", "tiny_plain", "raise SystemExit('imported')\n")

    assert discover(path=[str(site)]) == {"tiny": [Candidate("tiny", "vendor-tiny", "1.2", "tiny_plain")]}
    assert "tiny_plain" not in sys.modules


def test_an_installed_plugin_is_loaded_when_it_is_named(site):
    install(site, "vendor-tiny", "tiny_good", GOOD)
    registry = Registry(path=[str(site)])
    registry.load(["tiny"])

    assert registry.loaded["tiny"].module.__name__ == "tiny_good"


def test_two_distributions_with_one_entry_point_name_are_refused(site):
    """Threat 36."""
    install(site, "vendor-one", "tiny_one", GOOD)
    install(site, "vendor-two", "tiny_two", GOOD, version="3")

    text = refusal(site)

    assert "plugin tiny is offered by " in text
    assert "vendor-one 1.2" in text
    assert "vendor-two 3" in text
    assert "Uninstall one of them." in text


def test_a_name_that_is_contested_harms_nobody_who_does_not_ask_for_it(site):
    install(site, "vendor-one", "tiny_one", GOOD)
    install(site, "vendor-two", "tiny_two", GOOD)
    install(site, "vendor-other", "tiny_other", GOOD, name="other")

    Registry(path=[str(site)]).load(["other"])


def test_a_second_copy_of_a_distribution_is_no_rival(site, tmp_path):
    install(site, "vendor-tiny", "tiny_copy", GOOD)
    shadowed = tmp_path / "shadowed"
    install(shadowed, "Vendor.Tiny", "tiny_copy", GOOD, version="0.9")

    (candidate,) = discover(path=[str(site), str(shadowed)])["tiny"]
    assert candidate.version == "1.2"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1/0\n", "ZeroDivisionError: division by zero"),
        ("def f(:\n", "SyntaxError"),
    ],
)
def test_an_exception_at_import_refuses_the_plugin(site, source, what):
    install(site, "vendor-tiny", "tiny_raises", source)

    text = refusal(site)

    assert f"plugin tiny (vendor-tiny 1.2) cannot be imported: {what}" in text
    assert "Reinstall vendor-tiny, or take tiny out of the configuration." in text


def test_an_entry_point_that_is_no_module_is_refused(site):
    install(site, "vendor-tiny", "tiny_object:plugin", GOOD)

    assert "points at 'tiny_object:plugin', which is not a module" in refusal(site)


def test_a_plugin_in_this_process_is_given_as_it_is():
    module = plugin("here")

    assert import_plugin(discover({"here": module}, [])["here"][0]) is module


def test_the_overview_shows_every_plugin_and_why_one_is_refused(site):
    source = (
        "from recgate.hookspecs import hookimpl\nfrom core.tests.small_plugins import tiny_provider\nrecgate_api = 1\n"
        "@hookimpl\ndef recgate_protocols():\n"
        "    return [tiny_provider('t', relay=None, driver=lambda options: None)]\n"
    )
    install(site, "vendor-driver", "tiny_driver", source, name="driver")
    install(site, "vendor-old", "tiny_old", "recgate_api = 0\n", name="old")

    driver, old = overview(Registry(path=[str(site)]), {"driver"})

    assert (driver.name, driver.distribution, driver.version, driver.enabled) == (
        "driver",
        "vendor-driver",
        "1.2",
        True,
    )
    assert driver.provides == ("protocol t (driver)",)
    assert driver.protocols == ({"name": "t", "kind": "driver", "port": 77},)
    assert driver.error == ""
    assert not old.enabled
    assert "was built for plugin API 0" in old.error
