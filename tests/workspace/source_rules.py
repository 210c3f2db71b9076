"""The rules of style for one Python module, each a function from source to findings.

They are apart from the tests that run them over the workspace, so that each can also be shown a module that
breaks it: a rule that never finds anything would otherwise look like a clean workspace.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

MAX_MODULE_LINES = 600
MAX_MEDIAN_LINES = 200
MAX_FUNCTION_LINES = 50

# A module with one of these in its name says nothing about why it exists.
VAGUE_WORDS = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"})

LEFT_FOR_LATER = re.compile(r"\b(?:TODO|FIXME|XXX)\b")
SKIPPING = frozenset({"skip", "skipif", "xfail", "importorskip"})
REASONED = re.compile(r"BLE001\W+\w+\s+\w+")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def docstring_first(source: str) -> Iterator[str]:
    """Find a module that does not say why it exists."""
    if source.strip() and not ast.get_docstring(ast.parse(source)):
        yield "has no docstring: say in its first line why the module exists"


def module_size(source: str) -> Iterator[str]:
    """Find a module with two ideas in it."""
    lines = source.count("\n")
    if lines > MAX_MODULE_LINES:
        yield f"has {lines} lines: over {MAX_MODULE_LINES} there are two ideas in it"


def function_size(source: str) -> Iterator[str]:
    """Find a function longer than a screen. Its docstring does not count: contracts in prose are welcome."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Function):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        first = node.body[0]
        if ast.get_docstring(node) is not None:
            lines -= (first.end_lineno or first.lineno) - first.lineno + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"line {node.lineno}: {node.name} has {lines} lines, over {MAX_FUNCTION_LINES}"


def telling_name(path: Path) -> Iterator[str]:
    """Find a module named for nothing in particular."""
    vague = VAGUE_WORDS.intersection(path.stem.split("_"))
    if vague:
        yield f"is named {path.stem!r}: name it for what it holds, not {', '.join(sorted(vague))}"


def swallowed_exceptions(source: str) -> Iterator[str]:
    """Find `except Exception: pass` in any of its spellings."""
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.ExceptHandler)
            and _catches_all(node.type)
            and all(map(_does_nothing, node.body))
        ):
            yield f"line {node.lineno}: swallows every exception"
        if (
            isinstance(node, ast.Call)
            and _name(node.func).endswith("suppress")
            and any(map(_catches_all, node.args))
        ):
            yield f"line {node.lineno}: suppresses every exception"


def reasoned_catch_all(source: str) -> Iterator[str]:
    """Find a catch-all allowed without a word why."""
    for number, comment in _comments(source):
        if "noqa" in comment and "BLE001" in comment and not REASONED.search(comment):
            yield f"line {number}: a catch-all needs its reason on the line: `# noqa: BLE001 - why`"


def left_for_later(source: str) -> Iterator[str]:
    """Find a stub or a note to oneself."""
    for number, comment in _comments(source):
        if LEFT_FOR_LATER.search(comment):
            yield f"line {number}: left for later; do it, or file it"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc and "NotImplementedError" in ast.unparse(node.exc):
            yield f"line {node.lineno}: a stub"


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Give the line and dotted name of every import, those for the type checker included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def plugin_imports(source: str) -> Iterator[str]:
    """Find the core reaching for a plugin."""
    for line, name in imported(source):
        if name.startswith("recgate_"):
            yield f"line {line}: the core imports the plugin {name}"


def skipped_tests(source: str) -> Iterator[str]:
    """Find a test that may not run: what a test needs is installed, or the test is not there."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute) or node.attr not in SKIPPING:
            continue
        if _name(node.value) in {"pytest", "pytest.mark", "mark"}:
            yield f"line {node.lineno}: skips or expects failure"


def naps(source: str) -> Iterator[str]:
    """Find a test that waits and hopes. Looking again in a loop is allowed, blocking the thread is not."""
    tree = ast.parse(source)
    looped = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.For | ast.AsyncFor | ast.While)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        if name == "time.sleep":
            yield f"line {node.lineno}: time.sleep blocks every task of the test"
        if name in {"trio.sleep", "asyncio.sleep"} and id(node) not in looped and not _is_zero(node.args):
            yield f"line {node.lineno}: sleeps and hopes; wait for the event itself"


def has_logic(source: str) -> bool:
    """Say whether a module does anything: a function with a body, outside a Protocol."""
    tree = ast.parse(source)
    contracts = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.ClassDef) and any("Protocol" in ast.dump(base) for base in outer.bases)
        for inner in ast.walk(outer)
    }
    return any(
        isinstance(node, Function) and id(node) not in contracts and not all(map(_does_nothing, node.body))
        for node in ast.walk(tree)
    )


def _comments(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _name(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def _catches_all(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Tuple):
        return any(map(_catches_all, node.elts))
    return node is None or _name(node) in {"Exception", "BaseException"}


def _does_nothing(node: ast.stmt) -> bool:
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Pass | ast.Continue)


def _is_zero(args: list[ast.expr]) -> bool:
    return bool(args) and isinstance(args[0], ast.Constant) and args[0].value == 0
