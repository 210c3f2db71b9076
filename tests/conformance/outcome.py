"""What a suite gave test by test, and whether the gateway changed any of it that nobody has explained."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["explained", "unexplained"]

DIFFERENCES = Path(__file__).with_name("differences.toml")


def explained(suite: str) -> dict[str, str]:
    """Give the tests of a suite that may differ, each with its reason."""
    return dict(tomllib.loads(DIFFERENCES.read_text()).get(suite, {}))


def unexplained(direct: Mapping[str, str], gateway: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    """Compare outcomes; gives a line for every difference without a reason, and every reason without a test."""
    lines = [
        f"{name}: direct {direct.get(name, 'did not run')}, through the gateway {gateway.get(name, 'did not run')}"
        for name in sorted(direct.keys() | gateway.keys())
        if direct.get(name) != gateway.get(name) and name not in known
    ]
    lines += [f"{name}: explained, but there is no such test" for name in known if name not in direct]
    return lines
