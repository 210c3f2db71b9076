"""Entries of what the gateway itself recorded: who came, what was decided, where something is missing, the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

import cbor2

from recgate.recording.frames import RecordedFrame
from recgate.sansio.frames import GATEWAY
from recgate.transcript.entries import Entry

__all__ = ["GATEWAY_KINDS", "gateway_body", "gateway_entry"]

Terms = tuple[tuple[str, str], ...]


def _text(body: Mapping[str, object], key: str) -> str:
    value = body.get(key, "")
    return value if isinstance(value, str) else ""


def _decided(body: Mapping[str, object]) -> tuple[Mapping[str, object], str, Terms]:
    # `kind` is the entry's own word in what is shown; here it is the kind of the request.
    shown = {"request" if key == "kind" else key: value for key, value in body.items()}
    effect = _text(body, "effect") or "hold"
    terms: Terms = (("decision", effect),)
    if rule := _text(body, "rule"):
        terms += (("rule", rule),)
    return shown, _text(body, "text") or _text(body, "reason"), terms


def _masked(body: Mapping[str, object]) -> tuple[Mapping[str, object], str, Terms]:
    rule = _text(body, "rule")
    return body, "", (("rule", rule),) if rule else ()


def _secret(body: Mapping[str, object]) -> tuple[Mapping[str, object], str, Terms]:
    rule = _text(body, "rule")
    return body, " ".join(filter(None, (rule, _text(body, "place")))), (("secret", rule), ("rule", rule))


def _noted(body: Mapping[str, object]) -> tuple[Mapping[str, object], str, Terms]:
    return body, " ".join(filter(None, (_text(body, "text"), _text(body, "reason")))), ()


def _opened(body: Mapping[str, object]) -> tuple[Mapping[str, object], str, Terms]:
    return body, " ".join(filter(None, (_text(body, key) for key in ("user", "target", "source")))), ()


def _plain(body: Mapping[str, object]) -> tuple[Mapping[str, object], str, Terms]:
    return body, "", ()


# `counters` are for the verifier, and no step of a session.
_BY_KIND: Final[dict[str, Callable[[Mapping[str, object]], tuple[Mapping[str, object], str, Terms]]]] = {
    "opened": _opened,
    "login": _plain,
    "route": _plain,
    "decision": _decided,
    "held": _decided,
    "mask": _masked,
    "secret": _secret,
    "resize": _plain,
    "note": _noted,
    "gap": _noted,
    "closed": _noted,
}
GATEWAY_KINDS: Final = frozenset({*_BY_KIND, "counters"})


def gateway_body(frame: RecordedFrame) -> Mapping[str, object]:
    """Decode a gateway frame; what is no map is given as `{"undecodable": true}`."""
    try:
        body: object = cbor2.loads(frame.data)
    except (cbor2.CBORError, ValueError, EOFError):
        body = None
    return cast("Mapping[str, object]", body) if isinstance(body, dict) else {"undecodable": True}


def gateway_entry(frame: RecordedFrame) -> Entry | None:
    """Give the entry of a gateway frame, or None if it is another's or no step of the session."""
    if frame.side != GATEWAY:
        return None
    shape = _BY_KIND.get(frame.kind)
    if shape is None:
        return None
    body, text, terms = shape(gateway_body(frame))
    return Entry(frame.seq, frame.t, frame.side, frame.channel, frame.kind, body, text, terms)
