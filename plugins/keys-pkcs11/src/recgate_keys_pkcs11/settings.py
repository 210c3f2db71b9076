"""`gateway: keys: {pkcs11: {…}}`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from recgate.config.values import ConfiguredPath, Settings

__all__ = ["Pkcs11Settings"]


class Pkcs11Settings(Settings):
    """Where the token is, and how one gets at it.

    Attributes:
        module: the shared library of the device's vendor.
        token: the label of the token.
        pin_file: a file with the user's PIN and nothing else, which nobody else may read.
    """

    module: ConfiguredPath
    token: Annotated[str, Field(min_length=1, max_length=32)]
    pin_file: ConfiguredPath
