"""What is asked: the request as approvers see it, and the digest of exactly what an approval is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, cast

import cbor2

from recgate.model import Principal
from recgate.policy.acts import acts_of, exact_of
from recgate.providers import PolicyRequest

__all__ = ["Asked", "Shown", "access_asked", "asked_by", "digest_of"]

MAX_TEXT: Final = 64 << 10  # characters of a statement that are shown; the digest is over all of it
MAX_BINDS: Final = 200  # values that are shown, and characters of each
MAX_BIND: Final = 1_000
MAX_ACTS: Final = 50  # acts that are shown, and names in each list of one
MAX_NAMES: Final = 50
MAX_WORDS: Final = 1_000  # characters of a name, a reason, an address


@dataclass(frozen=True, slots=True)
class Shown:
    """What only those see who may approve: the text, and the values that it runs with."""

    text: str = ""
    binds: tuple[str, ...] = ()
    cut: bool = False  # there is more of it than is shown


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for approval, before anybody has been asked.

    `kind` is `hold` for a request that waits in its session, `access` for a grant that is asked for ahead of one.
    `lasts` is for how many seconds access is asked for. `facts` is what policies saw, without any text.
    """

    kind: str
    principal: Principal
    target: str
    approvers: tuple[str, ...]
    needed: int
    within: float
    rule: str = ""
    session: str = ""
    protocol: str = ""
    source: str = ""
    number: int = 0
    asks: str = ""
    reason: str = ""
    digest: str = ""
    lasts: float = 0.0
    shown: Shown = field(default_factory=Shown, repr=False)
    facts: tuple[Mapping[str, object], ...] = ()


def asked_by(request: PolicyRequest, rule: str, approvers: Sequence[str], within: float, of: int) -> Asked:
    """Put a held request into words. What a request says is true only now: nothing of it is kept by reference."""
    session, asked = request.session, request.request
    return Asked(
        kind="hold",
        principal=request.principal,
        target=request.target.name,
        approvers=tuple(approvers),
        needed=of,
        within=within,
        rule=rule,
        session=session.id,
        protocol=request.target.protocol,
        source=session.connection.peer,
        number=session.requests,
        asks=asked.kind,
        reason=session.reason[:MAX_WORDS],
        digest=digest_of(request),
        shown=_shown(asked.text, asked.details.get("binds")),
        facts=tuple(_facts(request)),
    )


def access_asked(
    principal: Principal, target: str, approval: tuple[tuple[str, ...], int, float], lasts: float, reason: str
) -> Asked:
    """Put into words that somebody asks for access for so many seconds. `approval`: by whom, how many, within."""
    approvers, needed, within = approval
    said = [principal.issuer, principal.subject, target, lasts, reason]
    return Asked(
        kind="access",
        principal=principal,
        target=target,
        approvers=approvers,
        needed=needed,
        within=within,
        asks="access",
        reason=reason,
        digest=hashlib.sha256(cbor2.dumps(said, canonical=True)).hexdigest(),
        lasts=lasts,
    )


def digest_of(request: PolicyRequest) -> str:
    """Give hex SHA-256 over who asks, where, in which request of which session, and its exact bytes."""
    session, asked = request.session, request.request
    who = [request.principal.issuer, request.principal.subject]
    where = [request.target.name, session.id, session.requests, asked.kind, asked.channel]
    said = {str(key): _plain(value) for key, value in asked.details.items()}
    parts = [*who, *where, exact_of(asked), asked.text.encode("utf-8", "surrogatepass"), said]
    return hashlib.sha256(cbor2.dumps(parts, canonical=True)).hexdigest()


def _plain(value: object) -> object:
    """Give data that CBOR has one way to write; what it has no word for is told by its type and text."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None or isinstance(value, (bytes, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return {str(key).encode("utf-8", "surrogatepass"): _plain(item) for key, item in items}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    return [type(value).__name__, repr(value).encode("utf-8", "surrogatepass")]


def _shown(text: str, binds: object) -> Shown:
    values = list(cast("Sequence[object]", binds)) if isinstance(binds, (list, tuple)) else []
    words = [_value(each) for each in values[:MAX_BINDS]]
    cut = len(text) > MAX_TEXT or len(values) > MAX_BINDS or any(len(each) > MAX_BIND for each in words)
    return Shown(_utf8(text[:MAX_TEXT]), tuple(_utf8(each[:MAX_BIND]) for each in words), cut)


def _value(value: object) -> str:
    if value is None:
        return "NULL"
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _facts(request: PolicyRequest) -> list[dict[str, object]]:
    facts: list[dict[str, object]] = []
    for act in list(acts_of(request.request))[:MAX_ACTS]:
        found: dict[str, object] = {}
        for name, value in asdict(act).items():
            if isinstance(value, (list, tuple)):
                names = [_utf8(str(each)[:MAX_WORDS]) for each in cast("Sequence[object]", value)[:MAX_NAMES]]
                if names:
                    found[name] = names
            elif isinstance(value, bool):
                if value is not (name.startswith("has_")):  # what is not as usual
                    found[name] = value
            elif value:
                found[name] = _utf8(str(value)[:MAX_WORDS])
        if found:
            facts.append(found)
    return facts
