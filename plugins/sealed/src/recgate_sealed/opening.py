"""From a vault's settings to its file: the one place that knows where both are."""

from __future__ import annotations

from pathlib import Path

from recgate_sealed.keysource import MasterKey
from recgate_sealed.sealedfile import SealedFile
from recgate_sealed.settings import SealedSettings
from recgate_sealed.wrappedkey import WrappedKey

__all__ = ["open_file"]


def open_file(data_dir: Path, settings: SealedSettings) -> SealedFile:
    """Give the file of a configured vault. Reads nothing yet, and asks nobody."""
    if settings.unlock is not None:
        unlock = settings.unlock
        holder = WrappedKey(settings.name, unlock.vault, f"{unlock.mount}/{unlock.key}")
    else:
        holder = MasterKey(settings.name, data_dir / "keys", settings.key)
    return SealedFile(settings.name, data_dir / "vaults", holder)
