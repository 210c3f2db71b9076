"""Who is the same person, and who may decide: nobody is counted twice, and nobody on their own request."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from recgate.model import Principal

__all__ = ["People", "folded", "may_decide"]


class People:
    """Which names are one person.

    Rules speak of people by name, and a name is one person's whatever source vouches for it; `linked` says which names
    are one person besides. Where that leaves a doubt (letter case, forms of Unicode), it is the same person: to be
    taken for two would let somebody approve what they asked for themselves.
    """

    def __init__(self, linked: Sequence[Sequence[str]] = ()) -> None:
        self._of = {folded(name): folded(names[0]) for names in linked for name in names}

    def person(self, name: str) -> str:
        """Give the word for whoever goes by a name."""
        plain = folded(name)
        return self._of.get(plain, plain)


def folded(name: str) -> str:
    """Give a name without what tells no two people apart: letter case, forms of Unicode, blanks around it."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def may_decide(principal: Principal, approvers: Sequence[str]) -> bool:
    """Whether `approvers` (`user:NAME`, `group:NAME`) names somebody or one of their groups, exactly."""
    if f"user:{principal.name}" in approvers:
        return True
    return any(f"group:{group}" in approvers for group in principal.groups)
