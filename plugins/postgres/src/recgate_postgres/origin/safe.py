"""Functions of the server that leave values where they are: what goes in comes out as their result, if at all.

`safe.txt` is generated from the real servers (`plugins/postgres/tests/safe_names.py`), which also holds the names that
were read by hand: those that are volatile and still harmless, those with an effect, and those that run a text or read
what no argument names. A function that is not in the file is not followed.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import NamedTuple

from recgate_postgres.origin.model import Function

__all__ = ["Safe", "safe"]


class Safe(NamedTuple):
    """What is known of all functions of one name.

    Attributes:
        effect: whether what goes in can be seen or fetched elsewhere: a lock, a sequence, a message, a setting.
        columns: names of its result's columns where it stands in FROM; empty for a scalar, None for what is not known.
        bodies: functions in SQL of the same name, which do what they say.
    """

    effect: bool = False
    columns: tuple[str, ...] | None = ()
    bodies: tuple[Function, ...] = ()


def safe(name: str) -> Safe | None:
    """Give what is known of a function by its name; one of another schema than `pg_catalog` has it before a dot."""
    return _all().get(name)


@cache
def _all() -> dict[str, Safe]:
    found: dict[str, Safe] = {}
    for line in files("recgate_postgres.origin").joinpath("safe.txt").read_text("ascii").splitlines():
        name, sort, *columns = line.split(" ")
        names = columns[0].split(",") if columns else []
        found[name] = Safe(sort == "effect", None if names == ["*"] else tuple(names))
    return found
