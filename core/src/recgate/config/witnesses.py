"""`recording.witnesses` and `recording.witness_silence`: who vouches for the ledger, and what if nobody does."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from recgate.config.values import ConfiguredPath, Duration, Settings
from recgate.errors import LedgerDamaged
from recgate.ledger.note import COSIGNATURE, MLDSA_COSIGNATURE, Vkey

__all__ = ["SilenceSettings", "WitnessSettings"]


def _url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("should be http://HOST… or https://HOST…, without a password in it")
    return url


def _key(text: str) -> str:
    try:
        kind = Vkey.parse(text).kind
    except LedgerDamaged as exc:
        raise ValueError(f"{exc}. Give what `recgate witness new` printed") from None
    if kind not in (COSIGNATURE, MLDSA_COSIGNATURE):
        raise ValueError("is the key of a log, and not of a witness. Give what `recgate witness new` printed")
    return text


Url = Annotated[str, AfterValidator(_url)]


class WitnessSettings(Settings):
    """One witness, by one of `url`, `path` and `rfc3161`.

    Attributes:
        url: where a witness answers (C2SP tlog-witness); `add-checkpoint` is put behind it.
        path: the directory of a witness on another disk, made by `recgate witness new`; this gateway asks it itself.
        rfc3161: where a time-stamp authority answers (RFC 3161).
        key: the witness's public key.
        ca: authorities (PEM): of `url`'s certificate, or of those that sign the time stamps.
        every: how often a time-stamp authority is asked at most, while anything changed.
    """

    url: Url | None = None
    path: ConfiguredPath | None = None
    rfc3161: Url | None = None
    key: Annotated[str, AfterValidator(_key)] | None = None
    ca: ConfiguredPath | None = None
    every: Annotated[Duration, Field(ge=1)] = 600.0

    @model_validator(mode="after")
    def _one_kind(self) -> WitnessSettings:  # noqa: N804 - an instance, after validation
        if sum(each is not None for each in (self.url, self.path, self.rfc3161)) != 1:
            raise ValueError("should have one of url, path and rfc3161")
        if self.rfc3161 is not None:
            if self.ca is None or self.key is not None:
                raise ValueError(
                    "rfc3161 needs `ca`, the authorities that sign the time stamps, and no `key`"
                )
        elif self.key is None:
            raise ValueError("needs `key`, what `recgate witness new` printed")
        return self


class SilenceSettings(Settings):
    """What a witness that does not vouch for what is new leads to, `after` so long.

    `warn` says so in log, audit trail and metrics; `refuse` opens no new sessions either, until it is heard again.
    """

    after: Annotated[Duration, Field(ge=1)] = 3600.0
    then: Literal["warn", "refuse"] = "warn"
