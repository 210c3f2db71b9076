"""A statement as policy sees it: its text at once, everything else only when somebody looks.

A prepared statement runs thousands of times a second, so nothing is allocated for an Execute: the unnamed
portal of a statement, and the `Request` that speaks of it, are made once and bound again. What such a request
says is therefore true until the relay's next event of that side; keep a copy, not the request.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from recgate.mask.columns import COLUMNS, ColumnRefusal
from recgate.policy.acts import ACTS, EXACT, KEPT, Act
from recgate.policy.reading import WRITES
from recgate.sansio.frames import Request
from recgate_postgres.calls import FILES
from recgate_postgres.encodings import DEFAULT, decode
from recgate_postgres.meanings import Meanings
from recgate_postgres.redefining import may_redefine
from recgate_postgres.values import bind_values
from recgate_postgres.writes import writes

if TYPE_CHECKING:
    from recgate_postgres.origin.outcomes import Plan

__all__ = ["NO_LIMIT", "Books", "CallDetails", "Portal", "SimpleDetails", "Statement", "function_text"]

# No statement at all, so that whoever looks into it is in doubt.
UNKNOWN: Final = b"(a prepared statement that was redefined too often to be known)"

MAX_BOUND: Final = 65_536  # bytes of values that are kept of a request until it is answered
NO_LIMIT: Final = b"\0\0\0\0"  # an Execute of all rows


# What client libraries call through the fast path: large objects, under the numbers that they have had since 1997.
_FUNCTIONS: Final = {
    715: "lo_create",
    764: "lo_import",
    765: "lo_export",
    767: "lo_import",
    952: "lo_open",
    953: "lo_close",
    954: "loread",
    955: "lowrite",
    956: "lo_lseek",
    957: "lo_creat",
    958: "lo_tell",
    964: "lo_unlink",
    1004: "lo_truncate",
    3170: "lo_lseek64",
    3171: "lo_tell64",
    3172: "lo_truncate64",
}


class Books(Protocol):
    """What requests of one connection are looked up in."""

    @property
    def meanings(self) -> Meanings:
        """What its texts do."""
        ...

    def refusal(self) -> ColumnRefusal | None:
        """Say why the request of now would show what it may not, or None. Raises `KeyError` where nobody has looked."""
        ...

    def resolved(self, acts: Sequence[Act]) -> Sequence[Act]:
        """Give acts with the schemas of their names, where a catalog says them."""
        ...

    def behind(self) -> bool:
        """Whether something else is under way than the last Query."""
        ...

    def known(self) -> dict[str, str]:
        """Give every name that may mean a text."""
        ...


class _Details(Mapping[str, object]):
    """A mapping whose values are worked out when asked for.

    `acts` is not among its keys: to work it out takes the grammar, so it is for those who ask for it by name. Asking
    raises `AccessDenied` for a text that cannot be read in its encoding.
    """

    __slots__ = ()
    KEYS: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[str]:
        return iter(self.KEYS)

    def __len__(self) -> int:
        return len(self.KEYS)

    def __repr__(self) -> str:
        return repr(dict(self))


class SimpleDetails(_Details):
    """Details of every simple query of a connection.

    `prepared` gives the texts of prepared statements and portals by name: a text that says EXECUTE, FETCH or
    MOVE runs one of them, and must be judged together with it.
    """

    __slots__ = ("_books", "_replication", "text")
    KEYS = ("protocol", "replication", "prepared")

    def __init__(self, books: Books, replication: bool) -> None:
        self._books = books
        self._replication = replication
        self.text = b""  # of the last one

    def __getitem__(self, key: str) -> object:
        if key == ACTS:
            return self._books.resolved(self._books.meanings.query(self.text, self._books.behind))
        if key == WRITES:
            return writes(self._books.meanings.query(self.text, self._books.behind))
        if key == COLUMNS:
            return self._books.refusal()
        if key == EXACT:
            return self.text
        if key == "protocol":
            return "simple"
        if key == "replication":
            return self._replication
        if key == "prepared":
            return self._books.known()
        raise KeyError(key)


class CallDetails(_Details):
    """Details of a function call (55.2.7): `function` is its object id, `binds` its arguments."""

    __slots__ = ("_body", "_books")
    KEYS = ("protocol", "function", "binds")

    def __init__(self, body: bytes, books: Books | None = None) -> None:
        self._body = body
        self._books = books

    def __getitem__(self, key: str) -> object:
        if key == COLUMNS and self._books is not None:
            return self._books.refusal()
        if key == ACTS:
            return self._acts()
        if key == WRITES:
            return writes(self._acts())
        if key == EXACT:
            return self._body
        if key == KEPT:
            return KeptDetails(self._body[4:], b"", "latin-1", self._body[:4].__add__)
        if key == "protocol":
            return "function"
        if key == "function":
            return int.from_bytes(self._body[:4])
        if key == "binds":
            return bind_values(self._body[4:], b"", "latin-1")
        raise KeyError(key)

    def _acts(self) -> tuple[Act, ...]:
        name = _FUNCTIONS.get(int.from_bytes(self._body[:4]))
        if name is None:
            return (Act("CALL", opaque=True),)
        acts = [Act("CALL", functions=(name,))]
        if name in FILES:
            acts.append(Act(FILES[name][0], ("file",), functions=(name,), opaque=True, kind="file"))
        return tuple(acts)


class KeptDetails(_Details):
    """What is kept of an Execute or a FunctionCall until it is answered: its exact bytes, and the values in them."""

    __slots__ = ("_bound", "_codec", "_oids", "_rest")
    KEYS = ("binds",)

    def __init__(self, bound: bytes, oids: bytes, codec: str, rest: Callable[[bytes], bytes]) -> None:
        """`rest` puts the bound part where it belongs among the other bytes; of a long one stands its digest."""
        self._bound = bound if len(bound) <= MAX_BOUND else hashlib.sha256(bound).digest()
        self._oids = oids if self._bound is bound else None
        self._codec = codec
        self._rest = rest

    def __getitem__(self, key: str) -> object:
        if key == EXACT:
            return self._rest(self._bound)
        if key == "binds":
            if self._oids is None:
                return [f"(values of more than {MAX_BOUND} bytes, SHA-256 {self._bound.hex()})"]
            return bind_values(self._bound, self._oids, self._codec)
        raise KeyError(key)


def _exact(text: bytes, bound: bytes, limit: bytes) -> bytes:
    # The bound part, formats included, is from its end: no text can shift what stands for a value.
    return b"%b\0%b%b%b" % (text, bound, limit, struct.pack("!I", len(bound)))


def function_text(body: bytes) -> str:
    """Name the function of a FunctionCall's body as a statement would."""
    number = int.from_bytes(body[:4])
    return f"{_FUNCTIONS.get(number, f'function {number}')}()"


class Statement:
    """A prepared statement: what was parsed under a name. `used` orders by last use, for eviction.

    `meanings` are the texts that the name may mean: one, until SQL redefines it (see `redefining`).
    """

    __slots__ = (
        "acts",
        "codec",
        "doubtful",
        "known",
        "meanings",
        "name",
        "oids",
        "portal",
        "redefines",
        "size",
        "text",
        "used",
    )

    def __init__(
        self, name: bytes, text: bytes, oids: bytes = b"", *, known: bool = True, codec: str = DEFAULT
    ) -> None:
        self.name = name
        self.text = text
        self.oids = oids  # as in Parse: four bytes each, zero where the server is to find out
        self.known = known
        self.meanings = (text,)
        self.redefines = may_redefine(text)
        self.size = len(text)
        self.used = 0
        self.portal: Portal | None = None
        self.codec = codec
        self.doubtful = False  # whether the target may have read it otherwise when it was parsed
        self.acts: tuple[Act, ...] | None = None

    def redefine(self, text: bytes, meanings: tuple[bytes, ...]) -> None:
        """Hold it for any of these from now on: `text` is what an Execute of it is judged by, together with them.

        Without any it is no longer known, and nothing of it runs before it is prepared anew.
        """
        self.text = text
        self.known = bool(meanings)
        self.meanings = meanings or (UNKNOWN,)
        self.redefines = any(map(may_redefine, self.meanings))
        self.portal = None
        self.acts = None

    def same(self, other: Statement) -> bool:
        """Whether both run the same text."""
        return self is other or (self.text == other.text and self.known is other.known)


class Portal(_Details):
    """A bound statement, and the details of every Execute of it."""

    __slots__ = ("books", "bound", "codec", "limit", "name", "plan", "request", "statement")
    KEYS = ("protocol", "statement", "portal", "binds", "max_rows", "prepared")

    def __init__(self, name: bytes, statement: Statement, codec: str, books: Books) -> None:
        self.name = name
        self.statement = statement
        self.codec = codec
        self.bound = b""  # the Bind's body behind its two names
        self.limit = NO_LIMIT
        self.plan: Plan | None = None  # what it may show, once somebody has looked
        self.books = books
        self.request = Request("sql", decode(statement.text, codec), 0, self)

    def redefine(self, statement: Statement) -> None:
        """Hold it for a portal of another text from now on."""
        self.statement = statement
        self.plan = None
        self.request = Request("sql", decode(statement.text, self.codec), 0, self)

    def __getitem__(self, key: str) -> object:
        if key in (ACTS, WRITES):
            acts = self.statement.acts or self.books.meanings.statement(self.statement)
            return self.books.resolved(acts) if key == ACTS else writes(acts)
        if key == COLUMNS:
            return self.books.refusal()
        if key == EXACT:
            return _exact(self.statement.text, self.bound, self.limit)
        if key == KEPT:
            rest = partial(_exact, self.statement.text, limit=self.limit)
            return KeptDetails(self.bound, self.statement.oids, self.codec, rest)
        if key == "protocol":
            return "extended"
        if key == "statement":
            return decode(self.statement.name, self.codec)
        if key == "portal":
            return decode(self.name, self.codec)
        if key == "binds":
            return bind_values(self.bound, self.statement.oids, self.codec)
        if key == "max_rows":
            return struct.unpack("!i", self.limit)[0]
        if key == "prepared":
            return self.books.known()
        raise KeyError(key)
