"""The hooks and the contracts of providers, with the exact signatures that the code has."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

from docs.generators.pages import code, docstring, page
from recgate import decisions, driver, errors, hookspecs, leases, model, providers, session, unlocking
from recgate.keys import keeping
from recgate.policy import approving, narrowing
from recgate.sansio import asks, frames, reader, relay
from recgate.testing import contracts, maskers, playbook, policies

__all__ = ["hook_names", "hooks_page", "kit_page", "providers_page", "relay_page"]


def hook_names() -> list[str]:
    """Every hook, in the order of the source."""
    return [
        node.name
        for node in ast.parse(inspect.getsource(hookspecs)).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("recgate_")
    ]


def hooks_page() -> str:
    """How a plugin says what it brings."""
    parts = [
        f"## {name}\n\n{code(_signature(hookspecs, name))}\n\n{docstring(getattr(hookspecs, name))}"
        for name in hook_names()
    ]
    introduction = f"""
{docstring(hookspecs)}

A plugin is a distribution with an entry point in the group `{hookspecs.PROJECT}`: its name is the plugin's
name, its value a module with `recgate_api = {hookspecs.API_VERSION}` and functions marked `@hookimpl`
(`from recgate.hookspecs import hookimpl`). The objects that hooks return are described in [](providers.md),
the relay that a protocol brings in [](relay.md). `CONTRIBUTING.md` walks through a whole plugin that the
tests build and run.

At load a plugin is refused when a hook is an `async def`, when a hook's name is misspelt, when two
distributions claim one entry-point name, when what a hook gives does not have the shape that the contract
asks for, and when it was built for another major version of recgate. Installed is not enabled: a plugin
loads because the configuration names it, or names what it provides.
"""
    return page("Hooks", introduction, *parts)


def providers_page() -> str:
    """What the objects that hooks return can be asked."""
    introduction = f"""
{docstring(providers)}

Contracts are `typing.Protocol`s: a class of yours fits by having the members, not by inheriting. They are
checked at start, so that an object that lacks a method fails there and not in somebody's session.
"""
    return page(
        "Providers",
        introduction,
        "## Contracts",
        *_classes(providers),
        *_classes(narrowing),
        *_classes(approving),
        "## Keys that are no files\n\n" + docstring(keeping),
        *_classes(keeping),
        "## Between vaults\n\n" + docstring(unlocking),
        *_classes(unlocking),
        *_one(leases, "Lasting"),
        "## Values\n\nWhat contracts pass around.",
        *_classes(model),
        *_classes(decisions),
        "## Errors\n\nWho erred is in the type.\n\n" + code(inspect.cleandoc(errors.__doc__ or ""), "text"),
    )


def relay_page() -> str:
    """The contract of a protocol."""
    introduction = """
A protocol plugin gives a *relay*: a state machine with two sides that frames what both say and does no I/O.
The core owns the sockets, reads, asks the relay what came, decides, records, and only then lets the relay
put bytes on the other side. Where a library has no sans-IO form a plugin gives a *driver* instead, which
runs its own async code on an open session.
"""
    driving = [*_classes(driver), *_one(session, "Session")]
    return page(
        "Relays and drivers",
        introduction,
        "## The relay",
        *_classes(relay),
        "## What a relay gives and asks\n\n" + docstring(asks),
        *_classes(frames),
        *_classes(asks),
        *_classes(reader),
        "## Drivers\n\nA protocol's `driver` factory gives an object with one method, `serve`.",
        *driving,
    )


def kit_page() -> str:
    """What a vendor runs over a plugin of theirs."""
    introduction = """
A contract is a class to subclass: you say how yours is made and what it finds, refuses or speaks, and what
every plugin of its kind must keep comes as tests. The kit is part of the core's distribution. Its pytest plugin
is found by itself; nothing has to be imported but the class. `recgate plugins new policy|masker NAME` writes a
package that has it in its tests already.
"""
    return page(
        "Test kit for plugins",
        introduction,
        "## For relays\n\n" + docstring(contracts),
        *_one(contracts, "RelayContract"),
        *_classes(playbook),
        "## For policies\n\n" + docstring(policies),
        *_one(policies, "PolicyContract"),
        "## For maskers\n\n" + docstring(maskers),
        *_one(maskers, "MaskerContract"),
    )


def _classes(module: ModuleType) -> Iterator[str]:
    """Every public class that the module itself defines, in the order of its source."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _one(module, node.name)


def _one(module: ModuleType, name: str) -> Iterator[str]:
    """A class: its docstring, then its fields and public methods as they stand in the source."""
    yield f"### {name}\n\n{docstring(getattr(module, name))}\n\n{code(_outline(module, name))}"


def _signature(module: ModuleType, name: str) -> str:
    source = inspect.getsource(module)
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return f"{_head(source, node)} ..."
    raise LookupError(f"{module.__name__} has no function {name}")


def _head(source: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The `def` line or lines exactly as they stand in the source, up to the colon."""
    lines = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1] or [
        source.splitlines()[node.lineno - 1].rpartition(": ...")[0] + ":"
    ]
    head = inspect.cleandoc("\n".join(line.partition("  #")[0] for line in lines))
    return head[: head.rindex(":") + 1]


def _outline(module: ModuleType, name: str) -> str:
    source = inspect.getsource(module)
    found = next(
        node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name
    )
    bases = ", ".join(ast.unparse(base) for base in found.bases)
    lines = [f"@{ast.unparse(each)}" for each in found.decorator_list]
    lines.append(f"class {name}({bases}):" if bases else f"class {name}:")
    head = len(lines)
    for node in found.body[1:] if ast.get_docstring(found) else found.body:
        member = _member(source, node)
        if len(member) > 1 and len(lines) > head:
            lines.append("")
        lines += [f"    {line}" if line else "" for line in member]
    return "\n".join(lines) if len(lines) > head else "\n".join(lines) + " ..."


def _member(source: str, node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return f'"""{node.value.value}"""'.splitlines()  # what stands below a field describes it
    if isinstance(node, ast.AnnAssign | ast.Assign):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        private = isinstance(target, ast.Name) and target.id.startswith("_")
        return [] if private else (ast.get_source_segment(source, node) or "").splitlines()
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
        return []
    decorators = [f"@{ast.unparse(each)}" for each in node.decorator_list]
    head = _head(source, node).splitlines()
    text = (ast.get_docstring(node) or "").splitlines()
    if not text:
        return [*decorators, *head[:-1], f"{head[-1]} ..."]
    quoted = [f'"""{text[0]}', *text[1:]]
    quoted = [f'{quoted[0]}"""'] if len(text) == 1 else [*quoted, '"""']
    return [*decorators, *head, *(f"    {line}".rstrip() for line in quoted)]
