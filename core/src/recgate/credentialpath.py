"""Paths that name whose credential is meant: `database/creds/{target.labels.env}-{principal.group}`.

What stands in braces is decided by people who are not the operator (an identity provider gives groups), so a value
may choose among what lies below the path's literal beginning, and never leave it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from recgate.errors import VaultFailed
from recgate.model import Principal, TargetInfo

__all__ = ["expanded", "template_fault"]

MAX_VALUE: Final = 100  # characters of one value

_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_LABEL: Final = "target.labels."
_PLAIN: Final = ("principal.name", "principal.subject", "principal.group", "target.name")
# Begins with a letter or digit and has no two dots in a row, so that it is never a step upwards.
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_@-]*(\.[A-Za-z0-9_@-]+)*\Z")


def template_fault(path: str, labels: Mapping[str, str], allow: Sequence[str]) -> tuple[str, str] | None:
    """Say what is wrong with a path of a target that has these labels and this `allow:`, and what to do."""
    if "{" not in path and "}" not in path:
        return None
    fields = _FIELD.findall(path)
    if re.search(r"[{}]", _FIELD.sub("", path)):
        return "has a brace without its other half", "Write `{principal.group}`"
    first = path.partition("{")[0]
    if "/" not in first.lstrip("/"):
        return (
            "begins with a field, so that it could name anything in the vault",
            "Put what it is to stay below in front of it: `database/creds/{principal.group}`",
        )
    # An `x` in each field's place: a value itself is never empty, a dot, or two.
    if any(step in ("", ".", "..") for step in _FIELD.sub("x", path).split("/")):
        return "has an empty step, or one of dots", "Write the path in full"
    for field in fields:
        fault = _field_fault(field, labels, allow)
        if fault is not None:
            return fault
    return None


def _field_fault(field: str, labels: Mapping[str, str], allow: Sequence[str]) -> tuple[str, str] | None:
    if field.startswith(_LABEL):
        label = field.removeprefix(_LABEL)
        if label not in labels:
            return f"names the label {label}, which this target has not", f"Add `labels: {{{label}: …}}`"
        if not _is_safe(labels[label]):
            return (
                f"cannot have the value of the label {label} in it",
                "Use letters, digits, dash, underscore and single dots",
            )
        return None
    if field not in _PLAIN:
        return f"has no such field: {{{field}}}", f"Fields are {', '.join(_PLAIN)}, {_LABEL}NAME"
    if field == "principal.group" and not any(entry.startswith("group:") for entry in allow):
        return "needs a group, and `allow:` names none", "Let people in by `group:NAME`"
    return None


def expanded(path: str, principal: Principal, target: TargetInfo, allow: Sequence[str]) -> str:
    """Give the path for this principal at this target.

    Raises:
        VaultFailed: a value is not safe in a path, or nobody's group let them in.
    """
    if "{" not in path:
        return path

    def value(match: re.Match[str]) -> str:
        found = _value(match[1], principal, target, allow)
        if not _is_safe(found):
            raise VaultFailed(
                f"credential of {target.name}: {{{match[1]}}} is {found[:MAX_VALUE]!a}, which may not stand in a path. "
                "Letters, digits, dash, underscore, @ and single dots may: map the name at its identity source."
            )
        return found

    return _FIELD.sub(value, path)


def _value(field: str, principal: Principal, target: TargetInfo, allow: Sequence[str]) -> str:
    match field:
        case "principal.name":
            return principal.name
        case "principal.subject":
            return principal.subject
        case "target.name":
            return target.name
        case "principal.group":
            return _group(principal, target, allow)
        case _:
            return target.labels.get(field.removeprefix(_LABEL), "")


def _group(principal: Principal, target: TargetInfo, allow: Sequence[str]) -> str:
    """The group that let them in: the first in the order of `allow:`, so that it is always the same one."""
    for entry in allow:
        kind, _, name = entry.partition(":")
        if kind == "group" and name in principal.groups:
            return name
    raise VaultFailed(
        f"credential of {target.name}: its path needs a group, and {principal.name[:MAX_VALUE]!a} was let in by name. "
        "Let them in by a group."
    )


def _is_safe(value: str) -> bool:
    return len(value) <= MAX_VALUE and _SAFE.match(value) is not None
