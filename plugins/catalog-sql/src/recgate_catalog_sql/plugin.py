"""What this distribution brings: a catalog, by default in `data_dir/catalog.sqlite`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from pydantic import Field

from recgate.config import Settings
from recgate.errors import RecgateError
from recgate.hookspecs import hookimpl
from recgate.providers import Catalog, SettingsModel

if TYPE_CHECKING:
    from recgate.config import Configuration

__all__ = ["CatalogSettings", "recgate_api", "recgate_settings", "recgate_stores"]

recgate_api = 1


class CatalogSettings(Settings):
    """`catalog: {sql: {…}}`."""

    file: str = Field(
        default="catalog.sqlite",
        min_length=1,
        description="SQLite file, in `data_dir` unless the path is absolute",
    )


@hookimpl
def recgate_settings() -> Iterable[SettingsModel]:
    """Understand `catalog: {sql: {…}}`."""
    return [SettingsModel("catalog", "sql", CatalogSettings)]


@hookimpl
def recgate_stores(config: Configuration) -> Iterable[Catalog]:
    """Open the catalog, if this is the one that the configuration selects. Raises `RecgateError`."""
    # SQLAlchemy takes a third of a second to import, and commands that open no catalog come through here too.
    from recgate_catalog_sql.catalog import SqlCatalog

    if config.catalog.word != "sql":
        return []
    settings = cast("CatalogSettings", config.catalog.options)
    path = config.data_dir / settings.file
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)  # SQLite gives its -wal and -shm files the same mode
    except OSError as exc:
        raise RecgateError(
            f"catalog-sql: {path}: {exc.strerror}; create it, or set catalog: sql: file:"
        ) from exc
    return [SqlCatalog(f"sqlite:///{path}")]
