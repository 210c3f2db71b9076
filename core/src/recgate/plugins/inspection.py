"""Look a plugin over before anything of it is called: what is refused here could be a bypass later."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from types import ModuleType
from typing import Final

from recgate import hookspecs
from recgate.errors import PluginError
from recgate.hookspecs import API_VERSION, PROJECT
from recgate.plugins.discovery import Candidate

__all__ = ["HOOKS", "inspect_module"]

HOOKS: Final = tuple(name for name in vars(hookspecs) if name.startswith("recgate_"))
_MARK: Final = f"{PROJECT}_impl"  # what pluggy's HookimplMarker leaves on a function


def inspect_module(candidate: Candidate, module: ModuleType) -> None:
    """Refuse a plugin that was built for another API, or that has a hook nobody would ever call.

    Raises:
        PluginError: names the distribution, what is wrong, and the remedy.
    """
    _check_version(candidate, module)
    for name, member in inspect.getmembers(module, inspect.isroutine):
        marked = hasattr(member, _MARK)
        if name not in HOOKS and (marked or name.startswith(f"{PROJECT}_")):
            close = get_close_matches(name, HOOKS, n=1)
            hint = f"Did its author mean {close[0]}?" if close else f"Hooks are: {', '.join(HOOKS)}."
            raise PluginError(f"{candidate} has a hook {name}, which does not exist. {hint}")
        if name not in HOOKS:
            continue
        if not marked:
            raise PluginError(
                f"{candidate}: {name} is not marked, so nothing would call it. Put @hookimpl above it."
            )
        if inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member):
            raise PluginError(
                f"{candidate}: {name} is an `async def`, and hooks build objects synchronously. "
                "Make it a plain `def` that returns an object with async methods."
            )
        options = getattr(member, _MARK)
        if options.get("wrapper") or options.get("hookwrapper"):
            raise PluginError(
                f"{candidate}: {name} wraps other plugins' hooks, which is not part of this API. "
                "Make it a plain hook."
            )


def _check_version(candidate: Candidate, module: ModuleType) -> None:
    version: object = getattr(module, "recgate_api", None)
    if version is None:
        raise PluginError(
            f"{candidate} does not say which plugin API it was built for. "
            f"Its module {module.__name__} needs a line `recgate_api = {API_VERSION}`."
        )
    if version != API_VERSION or isinstance(version, bool):
        wanted = "a newer" if not isinstance(version, int) or version < API_VERSION else "an older"
        raise PluginError(
            f"{candidate} was built for plugin API {version!r}, and this gateway has {API_VERSION}. "
            f"Install {wanted} {candidate.distribution}, or a recgate of its generation."
        )
