"""What a request does, one act at a time: a statement of a batch, a part of a statement, a command, a file.

A protocol says it in the details of its requests, under the key `acts`; engines judge each act by itself, and the
strictest answer is the request's. So `request.verb == "DROP"` finds a DROP wherever in a batch it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from recgate.sansio.frames import Request

__all__ = ["ACTS", "EXACT", "KEPT", "Act", "acts_of", "exact_of"]

ACTS: Final = "acts"  # the key of `Request.details`; the value is worked out when it is asked for
EXACT: Final = "exact"  # likewise: the bytes that the request stands for, bind values included
# Likewise: details, `EXACT` among them, that stay true when the protocol has gone on to its next request.
KEPT: Final = "kept"


@dataclass(frozen=True, slots=True)
class Act:
    """One act. What a protocol does not know is empty; what it cannot know makes the act `opaque`.

    Attributes:
        verb: upper-case word: `SELECT`, `DROP`, `CALL`; of a file `READ` or `WRITE`; of a command its program's name
            as it was written, without directories.
        objects: `kind name`, with the schema that the name resolves to: `table public.customers`.
        tables: relations read or written, `schema.name`.
        columns_read: `schema.table.column`, or `*.column` where the relation is not known.
        columns_written: likewise.
        functions: called, `schema.name` or `name` for those built in.
        has_where: of UPDATE, DELETE, SELECT: whether a condition narrows it; true for other verbs.
        has_limit: whether LIMIT or FETCH FIRST bounds the rows; true for verbs that give none.
        opaque: what it does cannot be read from its text: rules that speak of any of the above match it too.
        path: of a file: which one, as far as it can be told without the target: `/etc/passwd`. A path that leads
            elsewhere than it looks, or from where nobody knows, makes the act opaque.
        direction: of a file `download` where it is read and `upload` where it is written, or what else is done to it:
            `remove`, `rename`, `list`, `mkdir`, `rmdir`, `attributes`, `symlink`, `link`.
        kind: where it is not the request's own: a `sql` request that lets the server read or write a file or run a
            program (`COPY … TO PROGRAM`) has an act of the kind `file` besides.
    """

    verb: str = ""
    objects: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    columns_read: tuple[str, ...] = ()
    columns_written: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    has_where: bool = True
    has_limit: bool = True
    opaque: bool = False
    kind: str = ""
    path: str = ""
    direction: str = ""


_NOTHING_SAID: Final = (Act(),)
_OPAQUE: Final = (Act(opaque=True),)


def acts_of(request: Request) -> Sequence[Act]:
    """Give what a request does, at least one act. A protocol that should know and does not is opaque."""
    said = request.details.get(ACTS)
    if said is None:
        return _OPAQUE if request.kind == "sql" else _NOTHING_SAID
    return cast("Sequence[Act]", said) or _OPAQUE


def exact_of(request: Request) -> bytes:
    """Give the bytes that a request stands for, as its client sent them; where a protocol does not say, its text's."""
    said = request.details.get(EXACT)
    return said if isinstance(said, bytes) else request.text.encode("utf-8", "surrogatepass")
