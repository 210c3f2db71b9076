"""What stands in front of another half of a session's target, and answers for it where it changes nothing."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from recgate_postgres.names import Names
from recgate_postgres.refusals import Refusals

__all__ = ["Front"]


class _Half(Protocol):
    @property
    def names(self) -> Names: ...
    @property
    def refusals(self) -> Refusals: ...
    @property
    def starting(self) -> bool: ...
    @property
    def key(self) -> bytes: ...


Inner = TypeVar("Inner", bound=_Half)


class Front(Generic[Inner]):
    """The part of a backend that relays ask for and that is the inner one's."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Inner) -> None:
        self._inner = inner

    @property
    def names(self) -> Names:
        """The books about names, shared with the client's half."""
        return self._inner.names

    @property
    def refusals(self) -> Refusals:
        """The refusals that the target has yet to answer."""
        return self._inner.refusals

    @property
    def starting(self) -> bool:
        """Whether the first ReadyForQuery is still to come."""
        return self._inner.starting

    @property
    def key(self) -> bytes:
        """What cancels the target's work."""
        return self._inner.key
