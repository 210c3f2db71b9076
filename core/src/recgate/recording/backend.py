"""Make the worker's store and indexer from the gateway's configuration, with the plugins that it names."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from recgate.plugins import Registry
from recgate.recording.indexer import Backend, Indexer

if TYPE_CHECKING:
    from recgate.config import Configuration

__all__ = ["configured"]

# Imported only in the worker: the recording does not depend on what a recording means.
INDEXING = "recgate.transcript.indexing"


def configured(argument: bytes) -> Backend:
    """Give the store that the configuration selects, and the indexer (`index: off` keeps the catalog alone)."""
    # Written by the gateway that started this process, into a pipe that nobody else can write to.
    config, in_process = cast("tuple[Configuration, Mapping[str, str]]", pickle.loads(argument))  # noqa: S301
    extra = {name: importlib.import_module(module) for name, module in in_process.items()}
    registry = Registry.of(config, extra)
    build = cast(
        "Callable[[Configuration, Registry], Indexer]", importlib.import_module(INDEXING).build_indexer
    )
    return Backend(registry.store, build(config, registry), registry.keeper)
