"""What the statements of one connection do: their readings, and what names mean that SQL itself has given.

An EXECUTE or FETCH does what its name means. A name that the protocol gave is in the books (`names`); one that
PREPARE or DECLARE gave is learnt when the text that gives it is read, which is when a policy asks. A text that might
give one and was never asked about makes all of them doubtful.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from recgate.errors import AccessDenied
from recgate.policy import Act
from recgate_postgres.acts import OPAQUE, UNREADABLE, Reading, Readings
from recgate_postgres.settings import Settings, plain

if TYPE_CHECKING:
    from recgate_postgres.requests import Statement

__all__ = ["Meanings"]

MAX_SPOKEN: Final = 1_000  # names that SQL gave
MAX_SPOKEN_ACTS: Final = 512  # acts of one of them
MAX_UNREAD: Final = 1_000

# Of the whole process: what a text says hangs on nothing else.
READINGS: Final = Readings()


class Meanings:
    """Of one connection. `means` gives the statements that a name of the protocol may mean: `("cursor", "c")`."""

    __slots__ = ("_means", "_spoken", "_unread", "lost", "settings")

    def __init__(self, means: Callable[[str, str], Sequence[Statement]]) -> None:
        self.settings = Settings()
        self.lost = False  # SQL gave more names than are kept, or than were read
        self._means = means
        self._spoken: dict[tuple[str, str], dict[Act, None]] = {}
        self._unread: set[int] = set()

    def unread(self, text: bytes) -> None:
        """Note that a text is about to run which may give names a meaning. Until it is read, none is known."""
        if len(self._unread) < MAX_UNREAD:
            self._unread.add(hash(text))
        else:
            self.lost = True

    def query(self, text: bytes, behind: Callable[[], bool]) -> tuple[Act, ...]:
        """Give the acts of a Query. `behind` says whether what is under way may change how it is read.

        Raises:
            AccessDenied: its encoding hides ASCII inside of other characters.
        """
        if not self._unread:
            acts = READINGS.quick.get(text)
            if acts is None and plain(text):
                acts = READINGS.fixed(text)
            if acts is not None:
                return acts
        settings = self.settings
        return self._gather([(text, settings.codec, settings.doubts(text, behind=behind()))])[0]

    def statement(self, statement: Statement) -> tuple[Act, ...]:
        """Give the acts of a prepared statement, whatever its name may mean.

        Raises:
            AccessDenied: its encoding hides ASCII inside of other characters.
        """
        if statement.acts is None:
            acts, fixed = self._gather(_texts(statement))
            if not statement.known:
                acts = tuple(dict.fromkeys((*acts, *OPAQUE)))
            elif fixed and not statement.redefines:
                statement.acts = acts
            return acts
        return statement.acts

    def _gather(self, texts: Iterable[tuple[bytes, str, bool]]) -> tuple[tuple[Act, ...], bool]:
        """Give the acts of texts and of all that they run; and whether they stay what they are."""
        found: dict[Act, None] = {}
        seen: set[tuple[str, str]] = set()
        pending = list(texts)
        while pending:
            reading = self._read(*pending.pop(0))
            found.update(dict.fromkeys(reading.acts))
            for name in reading.runs:
                if name not in seen:
                    seen.add(name)
                    pending += self._meant(name, found)
        return tuple(found), not seen

    def _meant(self, name: tuple[str, str], found: dict[Act, None]) -> list[tuple[bytes, str, bool]]:
        """Give the texts that a name of the protocol means, and put what one of SQL's does into `found`."""
        statements = self._means(*name)
        spoken = self._spoken.get(name)
        trusted = not self.lost and not self._unread
        if spoken is not None:
            found.update(spoken)
        if not all(each.known for each in statements) or not (statements or (spoken is not None and trusted)):
            found.update(dict.fromkeys(OPAQUE))
        return [text for each in statements for text in _texts(each)]

    def _read(self, text: bytes, codec: str, doubtful: bool) -> Reading:
        settings = self.settings
        if text.isascii():
            reading = READINGS.get(text.decode("ascii"))
        else:
            if not settings.safe:
                raise AccessDenied(
                    f"client_encoding {settings.encoding or '(not reported)'} cannot be read for certain: "
                    "SET client_encoding TO 'UTF8'"
                )
            try:
                reading = READINGS.get(text.decode(codec))
            except ValueError:
                reading = UNREADABLE
            if not settings.exact and not _ascii(reading):
                reading = UNREADABLE
        if doubtful or not reading.holds_for(settings.version):
            reading = UNREADABLE
        self._learn(hash(text), reading)
        return reading

    def _learn(self, text: int, reading: Reading) -> None:
        self._unread.discard(text)
        for sort, name, acts in reading.made:
            spoken = self._spoken.setdefault((sort, name), {})
            spoken.update(dict.fromkeys(acts))
            if len(self._spoken) > MAX_SPOKEN or len(spoken) > MAX_SPOKEN_ACTS:
                self._spoken.clear()
                self.lost = True


def _texts(statement: Statement) -> list[tuple[bytes, str, bool]]:
    texts = dict.fromkeys((statement.text, *statement.meanings))
    return [(text, statement.codec, statement.doubtful) for text in texts]


def _ascii(reading: Reading) -> bool:
    return all(
        name.isascii()
        for act in reading.acts
        for names in (act.objects, act.tables, act.columns_read, act.columns_written, act.functions)
        for name in names
    )
