"""Whose certificates count, and what they are called here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from recgate.config import ConfiguredPath, Settings, SourceSettings

__all__ = ["CertificateRule", "CertificateSettings"]


class CertificateRule(Settings):
    """One entry of `rules:` — exactly one pattern, of one kind of alternative name (RFC 5280 §4.2.1.6)."""

    uri: str | None = Field(
        default=None,
        min_length=1,
        description="pattern of a URI; `*` stays between `:` and `/`, `**` does not",
    )
    dns: str | None = Field(
        default=None, min_length=1, description="pattern of a DNS name; `*` stays between dots"
    )
    email: str | None = Field(default=None, min_length=1, description="pattern of an e-mail address")
    user: str | None = Field(
        default=None, min_length=1, description="what it is called; by default the name that fits"
    )
    groups: tuple[str, ...] = Field(default=(), description="groups that it is in")

    @model_validator(mode="after")
    def _one_pattern(self) -> CertificateRule:  # noqa: N804 - an "after" validator has the model
        if sum(each is not None for each in (self.uri, self.dns, self.email)) != 1:
            raise ValueError("should have exactly one of uri, dns, email")
        return self


class CertificateSettings(SourceSettings):
    """`identity: [{certificates: {…}}]` — TLS client certificates of one authority."""

    ca: ConfiguredPath = Field(description="the authorities that sign them (PEM)")
    intermediates: ConfiguredPath | None = Field(
        default=None, description="authorities between `ca` and the certificates (PEM)"
    )
    crl: ConfiguredPath | None = Field(
        default=None,
        description="revocation lists (PEM), read again when the file changes; a missing, partial or stale one refuses",
    )
    rules: Annotated[tuple[CertificateRule, ...], Field(min_length=1, max_length=1_000)] = Field(
        description="which of them sign in, as what; the first that fits counts"
    )
