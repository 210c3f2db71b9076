"""What PostgreSQL has built in: names of functions, operators, types in `pg_catalog`, generated from the real servers.

`plugins/postgres/tests/builtin_names.py` writes the file, and a test compares it with both servers.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

__all__ = ["FIRST", "INFORMATION", "LAST", "functions", "operators", "types", "volatile"]

# The versions that the file was read off. A name that only one of them has is marked with it.
FIRST: Final = 15
LAST: Final = 18

# Functions of `information_schema`, of both versions; each only computes.
INFORMATION: Final = frozenset(
    f"_pg_{what}"
    for what in (
        "char_max_length",
        "char_octet_length",
        "datetime_precision",
        "expandarray",
        "index_position",
        "interval_type",
        "numeric_precision",
        "numeric_precision_radix",
        "numeric_scale",
        "truetypid",
        "truetypmod",
    )
)


@cache
def functions() -> dict[str, int]:
    """Give the functions, each with the one version that has it, or 0 for both."""
    return _names("function", 3)


@cache
def volatile() -> frozenset[str]:
    """Give the functions that PostgreSQL holds for volatile: those that may do more than compute."""
    lines = files("recgate_postgres").joinpath("builtin.txt").read_text("ascii").splitlines()
    words = (line.split(" ") for line in lines)
    return frozenset(each[1] for each in words if each[0] == "function" and each[2] == "v")


@cache
def operators() -> dict[str, int]:
    """Give the operators likewise."""
    return _names("operator", 2)


@cache
def types() -> dict[str, int]:
    """Give the types likewise, but for arrays and rows."""
    return _names("type", 2)


def _names(sort: str, usual: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in files("recgate_postgres").joinpath("builtin.txt").read_text("ascii").splitlines():
        words = line.split(" ")
        if words[0] == sort:
            found[words[1]] = int(words[usual]) if len(words) > usual else 0
    return found
