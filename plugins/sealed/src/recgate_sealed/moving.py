"""Where the key of a file was before its vault's settings changed: `recgate secret rewrap --from SOURCE`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from recgate.errors import ConfigurationError
from recgate.unlocking import Unlocker
from recgate_sealed.keysource import MasterKey
from recgate_sealed.settings import KeySource
from recgate_sealed.wrappedkey import WrappedKey

if TYPE_CHECKING:
    from recgate.plugins import Registry
    from recgate_sealed.sealedfile import KeyHolder, SealedFile

__all__ = ["old_holder"]

GENERATED: Final = "generated"
_SOURCES: Final = ("file", "environment", "passphrase-file", "passphrase-environment")


def old_holder(source: str, file: SealedFile, data_dir: Path, plugins: Callable[[], Registry]) -> KeyHolder:
    """Give what has the key that `file` is sealed with now.

    Without a source it is what the configuration says; for a file that was not wrapped before, the generated key.

    Raises:
        click.UsageError: the source is none.
        ConfigurationError: it names a vault that is not there, or keeps no keys.
        VaultFailed: the file cannot be read.
    """
    if not source:
        moves = file.is_wrapped is False and isinstance(file.holder, WrappedKey)
        return MasterKey(file.name, data_dir / "keys", None) if moves else file.holder
    kind, _, where = source.partition(":")
    if source == GENERATED:
        return MasterKey(file.name, data_dir / "keys", None)
    if kind == "vault":
        return _wrapped(file.name, where, plugins())
    if kind not in _SOURCES or not where:
        raise click.UsageError(
            f"--from: {source!a} is none of {GENERATED}, {', '.join(f'{each}:…' for each in _SOURCES)}, "
            "vault:NAME:MOUNT/KEY"
        )
    path = Path(where).expanduser()
    settings = KeySource(
        file=path if kind == "file" else None,
        environment=where if kind == "environment" else None,
        passphrase_file=path if kind == "passphrase-file" else None,
        passphrase_environment=where if kind == "passphrase-environment" else None,
    )
    return MasterKey(file.name, data_dir / "keys", settings)


def _wrapped(vault: str, where: str, plugins: Registry) -> WrappedKey:
    by, _, key = where.partition(":")
    if not by or "/" not in key:
        raise click.UsageError("--from: write vault:NAME:MOUNT/KEY, such as vault:hv:transit/recgate")
    unlocker = plugins.vaults.get(by)
    if not isinstance(unlocker, Unlocker):
        raise ConfigurationError(
            f"--from: {by!a} is no vault of the configuration that keeps keys for others."
        )
    return WrappedKey(vault, by, key, unlocker)
