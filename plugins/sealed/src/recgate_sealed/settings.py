"""Where a sealed vault's key comes from, as the configuration says it."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from recgate.config.values import ConfiguredPath, Settings

__all__ = ["KeySource", "SealedSettings"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


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


class SealedSettings(Settings):
    """`vaults: [{sealed: {…}}]` — without `key`, one is generated into `data_dir/keys/sealed-NAME`."""

    name: Annotated[str, AfterValidator(_vault_name)] = "local"
    key: Annotated[KeySource, AfterValidator(_one)] | None = None
