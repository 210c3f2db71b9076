"""Turn a person's words into FTS5 queries that cannot be misread, with FTS5's own idea of what a token is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from recgate_search_fts5.schema import TOKENIZER

__all__ = ["Probe", "Words"]

_TABLES: Final = (
    f"""CREATE VIRTUAL TABLE probe USING fts5(text, content='', tokenize="{TOKENIZER}")""",
    "CREATE VIRTUAL TABLE seen USING fts5vocab(probe, 'instance')",
)


class Words:
    """The words and phrases of one query. A word that ends in `*` stands for all that begin so.

    `wanted` selects packs that have every token; `exact` is the same query with each phrase in its order;
    `symbols` are the words without any token in them (`--`, `*`), which FTS5 does not see.
    """

    def __init__(self, terms: Sequence[str], phrases: Sequence[str], probe: Probe) -> None:
        wanted: list[str] = []
        exact: list[str] = []
        self.symbols: list[str] = []
        for text, is_phrase in [*((term, False) for term in terms), *((phrase, True) for phrase in phrases)]:
            tokens = probe.tokens(text)
            prefix = " *" if not is_phrase and text.endswith("*") else ""
            if not tokens:
                self.symbols.append(text.casefold())
                continue
            wanted += [_quoted(token) for token in tokens]
            wanted[-1] += prefix
            exact.append(_quoted(text) + prefix)
        self.wanted = " AND ".join(wanted)
        self.exact = " AND ".join(exact)
        # One token a word and in any order: then the first answer is exact already for a pack of one.
        self.needs_probe = len(wanted) > len(exact)

    def holds_symbols(self, text: str) -> bool:
        """Say whether every word that FTS5 does not see stands in `text`."""
        folded = text.casefold() if self.symbols else ""
        return all(symbol in folded for symbol in self.symbols)


class Probe:
    """An index in memory that holds one candidate's texts while they are looked at."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for table in _TABLES:
            self._connection.execute(table)

    def tokens(self, text: str) -> list[str]:
        """Give the tokens of a text in their order."""
        self._fill([text])
        found = self._connection.execute("SELECT term FROM seen ORDER BY offset").fetchall()
        self._clear()
        return [term for (term,) in found]

    def matching(self, texts: Iterable[str], query: str) -> set[int]:
        """Give the places in `texts` that an FTS5 query matches."""
        self._fill(texts)
        found = self._connection.execute("SELECT rowid FROM probe WHERE probe MATCH ?", (query,)).fetchall()
        self._clear()
        return {place for (place,) in found}

    def _fill(self, texts: Iterable[str]) -> None:
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO probe(rowid, text) VALUES(?, ?)", enumerate(texts))
        self._connection.execute("COMMIT")

    def _clear(self) -> None:
        self._connection.execute("INSERT INTO probe(probe) VALUES('delete-all')")

    def close(self) -> None:
        """Forget it."""
        self._connection.close()


def _quoted(text: str) -> str:
    # Inside double quotes FTS5 knows no operator; only NUL would end the query early.
    return '"' + text.replace("\0", " ").replace('"', '""') + '"'
