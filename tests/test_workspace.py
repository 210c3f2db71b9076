"""The rules of style, executed: every Python file of the workspace is held to them here."""

import functools
import re
import statistics
from collections import Counter
from pathlib import Path

import pytest

from tests.workspace import source_rules as rules
from tests.workspace import tree

# Modules that ship without a test named for them or importing them. Each says where it is tested instead; a
# line that is no longer needed fails.
TESTED_ELSEWHERE: dict[str, str] = {}

# (rule, what it is run on)
SOURCE_RULES = [
    (rules.docstring_first, tree.modules),
    (rules.left_for_later, tree.modules),
    (rules.swallowed_exceptions, tree.modules),
    (rules.reasoned_catch_all, tree.modules),
    (rules.module_size, tree.modules),
    (rules.function_size, tree.sources),
    (rules.skipped_tests, tree.tests),
    (rules.naps, tree.tests),
]


@pytest.mark.parametrize(("rule", "paths"), SOURCE_RULES, ids=lambda value: getattr(value, "__name__", None))
def test_every_module_keeps_the_rule(rule, paths):
    found = [f"{path}: {finding}" for path in paths() for finding in rule(tree.read(path))]

    assert not found, "\n".join(found)


def test_the_median_module_is_small():
    lines = [tree.read(path).count("\n") for path in tree.sources() if tree.read(path).strip()]

    assert statistics.median(lines) <= rules.MAX_MEDIAN_LINES


def test_module_names_tell():
    found = [f"{path}: {finding}" for path in tree.modules() for finding in rules.telling_name(path)]

    assert not found, "\n".join(found)


def test_the_core_names_no_plugin_not_even_for_the_type_checker():
    core = [path for path in tree.sources() if path.parts[0] == "core"]
    found = [f"{path}: {finding}" for path in core for finding in rules.plugin_imports(tree.read(path))]

    assert core
    assert not found, "\n".join(found)


def test_test_module_names_are_unique():
    # They are imported by path, so two of one name would both run; `pytest -k` and reports would mix them up.
    names = Counter(path.name for path in tree.tests() if path.name.startswith("test_"))

    assert [name for name, count in names.items() if count > 1] == []


def test_every_module_with_logic_has_a_test_of_its_own():
    untested = [
        f"{path}: no test_{_subject(path)}.py beside it, and no test imports it"
        for path in tree.sources()
        if rules.has_logic(tree.read(path)) and not _tests_of(path) and str(path) not in TESTED_ELSEWHERE
    ]

    assert not untested, "\n".join(untested)


def test_exemptions_are_still_needed():
    stale = [name for name in TESTED_ELSEWHERE if Path(name) not in tree.sources() or _tests_of(Path(name))]

    assert not stale


BROKEN = [
    (rules.docstring_first, "import os\n"),
    (rules.left_for_later, "# TODO: later\n"),
    (rules.left_for_later, "x = 1  # XXX\n"),
    (rules.left_for_later, "def f():\n    raise NotImplementedError\n"),
    (rules.swallowed_exceptions, "try:\n    f()\nexcept Exception:\n    pass\n"),
    (rules.swallowed_exceptions, "try:\n    f()\nexcept (OSError, BaseException):\n    ...\n"),
    (rules.swallowed_exceptions, "for x in y:\n    try:\n        f()\n    except:\n        continue\n"),
    (rules.swallowed_exceptions, "with contextlib.suppress(Exception):\n    f()\n"),
    (rules.reasoned_catch_all, "try:\n    f()\nexcept Exception:  # noqa: BLE001\n    g()\n"),
    (rules.module_size, "x = 1\n" * 601),
    (rules.function_size, "def f():\n    '''Doc.'''\n" + "    x = 1\n" * 50),
    (rules.skipped_tests, "@pytest.mark.skipif(True)\ndef test(): ...\n"),
    (rules.skipped_tests, "pytest.importorskip('x')\n"),
    (rules.naps, "def test():\n    time.sleep(1)\n"),
    (rules.naps, "async def test():\n    await trio.sleep(1)\n"),
    (rules.plugin_imports, "from recgate_ssh.plugin import x\n"),
    (rules.plugin_imports, "if TYPE_CHECKING:\n    import recgate_ssh\n"),
]

KEPT = [
    (rules.docstring_first, '"""Why."""\n'),
    (rules.docstring_first, ""),
    (rules.left_for_later, "x = 'XXX'\n"),
    (rules.swallowed_exceptions, "try:\n    f()\nexcept OSError:\n    pass\n"),
    (rules.swallowed_exceptions, "try:\n    f()\nexcept Exception as error:\n    log(error)\n"),
    (rules.swallowed_exceptions, "with contextlib.suppress(OSError):\n    f()\n"),
    (
        rules.reasoned_catch_all,
        "try:\n    f()\nexcept Exception as e:  # noqa: BLE001 - the session boundary\n    g()\n",
    ),
    (rules.function_size, "def f():\n    '''" + "Doc.\n" * 60 + "    '''\n" + "    x = 1\n" * 49),
    (rules.naps, "async def test():\n    while not ready():\n        await trio.sleep(0.01)\n"),
    (rules.naps, "async def test():\n    await trio.sleep(0)\n"),
    (rules.plugin_imports, "from recgate.providers import Policy\n"),
]


@pytest.mark.parametrize(("rule", "source"), BROKEN)
def test_the_rule_sees_a_module_that_breaks_it(rule, source):
    assert list(rule(source))


@pytest.mark.parametrize(("rule", "source"), KEPT)
def test_the_rule_lets_an_honest_module_pass(rule, source):
    assert list(rule(source)) == []


@pytest.mark.parametrize("name", ["utils", "ssh_helpers", "manager"])
def test_a_vague_name_is_seen(name):
    assert list(rules.telling_name(Path(f"{name}.py")))


@pytest.mark.parametrize(
    ("source", "logic"),
    [
        ("def f():\n    return 1\n", True),
        ("@dataclass\nclass A:\n    x: int\n", False),
        ("class A(Protocol):\n    def f(self):\n        return 1\n", False),
        ("@hookspec\ndef f():\n    '''Called once.'''\n", False),
        ("class A(StrEnum):\n    X = 'x'\n", False),
    ],
)
def test_logic_is_told_from_shapes(source, logic):
    assert rules.has_logic(source) is logic


def _subject(path: Path) -> str:
    return path.parent.name if path.stem == "__init__" else path.stem


def _tests_of(path: Path) -> list[Path]:
    """Find the tests of a module: named for it (whole or in part), or reaching for it by its name."""
    top = path.parts.index("src")
    beside = Path(*path.parts[:top], "tests")
    dotted = ".".join(path.with_suffix("").parts[top + 1 :]).removesuffix(".__init__")
    named = re.compile(rf"test_(?:\w+_)?{re.escape(_subject(path))}(?:_\w+)?\.py")
    return [
        test
        for test in tree.tests()
        if "def test_" in tree.read(test)
        and ((test.is_relative_to(beside) and named.fullmatch(test.name)) or dotted in _imports(test))
    ]


@functools.cache
def _imports(path: Path) -> frozenset[str]:
    return frozenset(name for _, name in rules.imported(tree.read(path)))
