"""Names of identity sources that bring their users from elsewhere: no two may vouch for the same name.

Rules speak of users and groups by name, and a principal is (issuer, subject). So of all sources only one may leave
its names as they are; every other puts a prefix of its own before its users and groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from recgate.config.values import Settings

__all__ = ["SourceSettings", "collisions", "foreign_prefixes", "merged_groups"]

SourceName = Annotated[str, Field(pattern=r"\A[a-z0-9][a-z0-9._-]{0,62}\z")]
# It ends in a character that no name of the gateway's own directory has before its end: see `recgate user add`.
Prefix = Annotated[str, Field(pattern=r"\A([a-z0-9][a-z0-9._-]{0,62}[:/])?\z")]


class SourceSettings(Settings):
    """What every identity source has whose users and groups are named by somebody else."""

    name: SourceName = Field(
        description="what audit events and `recgate login --source` call it; unique among identity sources"
    )
    prefix: Prefix = Field(
        default="",
        description=(
            "put before its users and groups, such as `corp:` or `ci/`; of several sources all but one must set one"
        ),
    )

    @property
    def brings_groups(self) -> bool:
        """Whether somebody else than the configuration says which groups its users are in."""
        return False


def collisions(entries: Sequence[tuple[str, BaseModel]]) -> Iterator[tuple[int, str, str, str]]:
    """Find what could make two sources vouch for one name.

    Args:
        entries: word and options of each entry under `identity:`, in order.

    Yields:
        Which entry, which key of it, what is wrong, and what to do.
    """
    sources = [(n, options) for n, (_, options) in enumerate(entries) if isinstance(options, SourceSettings)]
    # A source without a `name:` goes by its word.
    names = {word: n for n, (word, options) in enumerate(entries) if not isinstance(options, SourceSettings)}
    for n, source in sources:
        first = names.setdefault(source.name, n)
        if first != n:
            yield n, "name", f"identity[{first}] is called {source.name} too", "Choose another name"
    for position, (n, source) in enumerate(sources):
        for m, other in sources[:position]:
            if not source.prefix and not other.prefix:
                wrong = f"identity[{m}] ({other.name}) has no prefix either, so that both could vouch for one name"
                yield n, "prefix", wrong, f"Set one, such as `{source.name}:`"
                break
            if _within(source.prefix, other.prefix):
                wrong = f"cannot be told from the prefix of identity[{m}] ({other.name}), {other.prefix}"
                yield n, "prefix", wrong, "Choose another one"
                break


def merged_groups(entries: Sequence[tuple[str, BaseModel]]) -> Iterator[tuple[int, str]]:
    """Find sources whose groups count as those of the gateway's own directory: allowed, and worth knowing.

    Args:
        entries: as of `collisions`.

    Yields:
        Which entry, and what to know.
    """
    own = [(n, word) for n, (word, options) in enumerate(entries) if not isinstance(options, SourceSettings)]
    for n, (_, options) in enumerate(entries):
        if not isinstance(options, SourceSettings) or options.prefix or not options.brings_groups:
            continue
        for m, word in own:
            what = (
                f"{options.name} has no prefix, so that whoever its provider puts into a group is in the group of that "
                f"name of identity[{m}] ({word}) as well. Set one, such as `{options.name}:`, unless that is meant."
            )
            yield n, what


def _within(one: str, other: str) -> bool:
    return bool(one and other) and (one.startswith(other) or other.startswith(one))


def foreign_prefixes(own: SourceSettings, entries: Iterable[BaseModel]) -> tuple[str, ...]:
    """Give the prefixes of all other sources: a name of `own` that begins with one is not its to vouch for."""
    return tuple(
        each.prefix
        for each in entries
        if isinstance(each, SourceSettings) and each.name != own.name and each.prefix
    )
