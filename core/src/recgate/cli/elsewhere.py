"""Where recordings are read: on the gateway, or elsewhere with an auditor's key and a copy of the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Final

import click

from recgate.cli.auditor import read_identity
from recgate.errors import RecgateError
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys, ErasureSource
from recgate.recipients.handover import MAX_HAND_OVER, unpack
from recgate.recipients.keyring import Keyring
from recgate.recipients.keys import Identity

__all__ = ["HERE", "Elsewhere", "elsewhere_options"]

_SQLITE: Final = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a command was told: key files, a directory with recordings, and a file with erasure keys."""

    identities: tuple[Path, ...] = ()
    store: Path | None = None
    erasure: Path | None = None

    def keyring(self, data_dir: Path | None = None) -> Keyring:
        """Read the keys. `data_dir` is the gateway's own, where there is one. Raises `RecgateError`."""
        identities = [read_identity(path) for path in self.identities]
        place = self.erasure or self._beside(data_dir)
        if place is None or not identities:
            return Keyring(identities)
        return Keyring(identities, _erasure(place, identities), str(place))

    def _beside(self, data_dir: Path | None) -> Path | None:
        places = [self.store.resolve().parent, self.store] if self.store is not None else []
        places += [data_dir] if data_dir is not None else []
        return next((place / ERASURE_FILE for place in places if (place / ERASURE_FILE).is_file()), None)


HERE: Final = Elsewhere()


def _erasure(place: Path, identities: list[Identity]) -> ErasureSource:
    try:
        with open(place, "rb") as file:
            if file.read(len(_SQLITE)) == _SQLITE:
                return ErasureKeys(place)
            file.seek(0)
            data = file.read(MAX_HAND_OVER + 1)
    except OSError as exc:
        raise RecgateError(f"{place} cannot be read: {exc.strerror}") from exc
    try:
        return unpack(data, identities)
    except RecgateError as exc:
        raise RecgateError(f"{place}: {exc}") from None


def elsewhere_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--identity`, `--store` and `--erasure`, which reach it as one `elsewhere`."""

    @click.option(
        "--identity",
        "identities",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="KEY",
        help="An auditor's private key, for what is sealed to it; may be given more than once.",
    )
    @click.option(
        "--store",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Recordings in a directory: no configuration is read then, and no gateway is needed.",
    )
    @click.option(
        "--erasure",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Erasure keys, from `recgate auditor hand-over`.  [default: erasure.sqlite3 beside or in the store]",
    )
    @wraps(command)
    def told(
        *positional: object,
        identities: tuple[Path, ...],
        store: Path | None,
        erasure: Path | None,
        **named: object,
    ) -> None:
        command(*positional, elsewhere=Elsewhere(identities, store, erasure), **named)

    return told
