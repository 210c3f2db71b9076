"""What this distribution brings: a recording store, by default in `data_dir/recordings`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import Field

from recgate.config import ConfiguredPath, Settings
from recgate.hookspecs import hookimpl
from recgate.providers import RecordingStore, SettingsModel
from recgate_store_file.store import FileStore

if TYPE_CHECKING:
    from recgate.config import Configuration

__all__ = ["FileStoreSettings", "recgate_api", "recgate_settings", "recgate_stores"]

recgate_api = 1


class FileStoreSettings(Settings):
    """`recording: {store: {file: {…}}}`."""

    path: ConfiguredPath | None = Field(
        default=None, description="Directory of the recordings; `recordings` in `data_dir` unless given"
    )


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Understand `recording: {store: {file: {…}}}`."""
    return [SettingsModel("store", "file", FileStoreSettings)]


@hookimpl
def recgate_stores(config: Configuration) -> Iterable[RecordingStore]:
    """Give the store, if this is the one that the configuration selects. Touches nothing on disk."""
    if config.store.word != "file":
        return []
    path = cast("FileStoreSettings", config.store.options).path
    return [FileStore(path or Path(config.data_dir) / "recordings")]
