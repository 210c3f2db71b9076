"""What this distribution brings: a search index, by default in `data_dir/search.sqlite`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from pydantic import Field

from recgate.config import Settings
from recgate.errors import RecgateError
from recgate.hookspecs import hookimpl
from recgate.providers import SearchIndex, SettingsModel
from recgate_search_fts5.index import FtsIndex

if TYPE_CHECKING:
    from recgate.config import Configuration

__all__ = ["SearchSettings", "recgate_api", "recgate_settings", "recgate_stores"]

recgate_api = 1


class SearchSettings(Settings):
    """`search: {fts5: {…}}`."""

    file: str = Field(
        default="search.sqlite",
        min_length=1,
        description="SQLite file, in `data_dir` unless the path is absolute",
    )


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Understand `search: {fts5: {…}}`."""
    return [SettingsModel("search", "fts5", SearchSettings)]


@hookimpl
def recgate_stores(config: Configuration) -> Iterable[SearchIndex]:
    """Open the index, if this is the one that the configuration selects. Raises `RecgateError`."""
    if config.search.word != "fts5":
        return []
    settings = cast("SearchSettings", config.search.options)
    path = config.data_dir / settings.file
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # SQLite gives its -wal and -shm files the same mode
    except OSError as exc:
        raise RecgateError(
            f"search-fts5: {path}: {exc.strerror}; create it, or set search: fts5: file:"
        ) from exc
    return [FtsIndex(path)]
