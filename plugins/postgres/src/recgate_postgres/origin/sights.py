"""What a statement is read with: the catalog and the search path that are in force where it will run, for certain.

Whoever reads the catalog implements `Sights`, one for each connection; origin masks and policies ask it before each
statement, and tell it what goes to the target. It is part of a relay, so it is pure: what has to be waited for (the
gateway's own connection, an answer of the session's target) is asked for by the relay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from recgate_postgres.origin.model import Catalog

__all__ = ["Doubt", "Sight", "Sights", "Wait"]


@dataclass(frozen=True, slots=True)
class Sight:
    """The catalog, and the schemas in which names without one are looked up, in order.

    `path` is what `current_schemas(true)` gives there: `$user` resolved, schemas that do not exist left out, and
    `pg_catalog` where it is searched. Where the session's own `pg_temp_N` is, it has `""`: `catalog` knows by that name
    what is temporary there.
    """

    catalog: Catalog
    path: tuple[str, ...]
    mark: int = 0  # for `Sights.holds`


@dataclass(frozen=True, slots=True)
class Doubt:
    """Neither is known for this statement, and waiting would not help. `reason` is fit for the client."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """It will be known once the target, or the gateway's own connection, has answered: nothing is taken from the
    client until then. Never said while the target waits for the client: inside COPY data, or because of a message of
    the open series, which is not answered before its Sync.
    """


class Sights(Protocol):
    """What one connection knows of its database."""

    def sight(self, text: bytes) -> Sight | Doubt | Wait:
        """Say what the next text of the client would be read with. Cheap: asked before each.

        A text that reads nothing (BEGIN, SET, COMMIT, ROLLBACK, SHOW…) waits for nobody: it gets a sight at once, of
        an empty catalog if no other is known. One of several statements is a doubt where an earlier one may change what
        the later ones mean.
        """
        ...

    def holds(self, sight: Sight) -> bool:
        """Whether nothing that went through the gateway may have changed the catalog since `sight` was given.

        A text runs later than it was read: behind others, or when a lock is free. So this is asked again when its
        result begins to come.
        """
        ...

    def runs(self, text: bytes, changes: bool) -> None:
        """Note that a text goes to the target now, as a Query or an Execute.

        `changes` says that it creates, alters or drops something that names may mean, or that nobody knows whether it
        does. Whether it touches the search path, or opens or ends a transaction, is read off the text.
        """
        ...
