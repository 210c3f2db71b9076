"""Where a sealed vault's key comes from, as the configuration says it."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, model_validator

from recgate.config.values import ConfiguredPath, Settings

__all__ = ["KeySource", "SealedSettings", "Unlock"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_WORD: Final = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"


def _vault_name(name: str) -> str:
    # It is a file name and the word before the colon in `credential:`.
    if not _NAME.match(name):
        raise ValueError("should have lower-case letters, digits, dot, dash and underscore, at most 63")
    return name


class KeySource(Settings):
    """Exactly one of these. A key is 32 bytes; in a variable it is written as base64 or hexadecimal."""

    file: ConfiguredPath | None = None
    environment: str | None = None
    passphrase_file: ConfiguredPath | None = None
    passphrase_environment: str | None = None


def _one(source: KeySource) -> KeySource:
    given = [source.file, source.environment, source.passphrase_file, source.passphrase_environment]
    if sum(value is not None for value in given) != 1:
        raise ValueError(
            "should have exactly one of file, environment, passphrase_file, passphrase_environment"
        )
    return source


class Unlock(Settings):
    """The key of another vault's engine, such as OpenBao's transit, that this vault's own key is wrapped with."""

    vault: Annotated[str, AfterValidator(_vault_name)] = Field(
        description="the vault that is asked, by its name"
    )
    key: str = Field(pattern=rf"\A{_WORD}\z", description="the name of its key")
    mount: str = Field(
        default="transit",
        max_length=200,
        pattern=rf"\A{_WORD}(/{_WORD})*\z",
        description="where its engine is mounted",
    )


class SealedSettings(Settings):
    """`vaults: [{sealed: {…}}]` — without `key` and `unlock`, a key is generated into `data_dir/keys/sealed-NAME`."""

    name: Annotated[str, AfterValidator(_vault_name)] = "local"
    key: Annotated[KeySource, AfterValidator(_one)] | None = None
    unlock: Unlock | None = Field(
        default=None, description="another vault that keeps the key wrapped, instead of `key`"
    )

    @model_validator(mode="after")
    def _has_one_source(self) -> SealedSettings:  # noqa: N804 - an "after" validator has the model
        if self.key is not None and self.unlock is not None:
            raise ValueError("should have `key` or `unlock`, not both")
        if self.unlock is not None and self.unlock.vault == self.name:
            raise ValueError("cannot be unlocked by itself")
        return self
