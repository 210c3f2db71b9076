"""What retention works with at a gateway: its book, its store and indexes, its erasure keys, its ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from recgate.errors import RecordingFailed
from recgate.ids import session_bytes
from recgate.ledger.acts import PROCESS, Actor, Acts
from recgate.recipients.erasurekeys import ERASURE_FILE, ErasureKeys
from recgate.retention.book import Removal, RetentionBook
from recgate.retention.removing import KEEPER, Remover

if TYPE_CHECKING:
    from recgate.config import Configuration
    from recgate.plugins import Registry

__all__ = ["BOOK_FILE", "book_of", "remover_of"]

BOOK_FILE: Final = "retention.sqlite3"


def book_of(config: Configuration) -> RetentionBook:
    """Give the book of holds and removals."""
    return RetentionBook(config.data_dir / BOOK_FILE)


def remover_of(config: Configuration, registry: Registry, acts: Acts) -> Remover:
    """Give what removes recordings of a gateway. Nothing is opened before it is used."""

    def leaf(removal: Removal) -> None:
        acts.removed(removal.kind, removal.session, removal.words, _actor(removal.who))

    def destroy(session: str) -> None:
        _destroy(config.data_dir / ERASURE_FILE, session)

    return Remover(
        book_of(config),
        registry.store,
        registry.catalog,
        registry.search,
        config.data_dir / "journal",
        leaf,
        destroy,
    )


def _destroy(path: Path, session: str) -> None:
    if not path.exists():
        return  # nothing was ever encrypted here
    keys = ErasureKeys(path)
    try:
        keys.destroy(session_bytes(session))
    except RecordingFailed as error:
        raise RecordingFailed(f"{error} The recording is not removed yet; the next round goes on.") from error
    finally:
        keys.close()


def _actor(who: str) -> Actor:
    return PROCESS if who == KEEPER else Actor.local(int(who.rpartition(":")[2]))
