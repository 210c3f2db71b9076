"""Answer a query: select packs by index, look into each, and give the hits newest session first."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Final, cast

from recgate.errors import RecgateError
from recgate.providers import SearchHit, SearchQuery
from recgate_search_fts5.packing import Pack, storable, unpack
from recgate_search_fts5.pattern import compile_pattern
from recgate_search_fts5.tokens import Probe, Words

__all__ = ["SESSION_FACTS", "find"]

# What is known of a session rather than of an entry.
SESSION_FACTS: Final = frozenset({"session", "user", "group", "target", "protocol", "source"})
MAX_LOOKED_AT: Final = 2 << 30  # characters of text that one query looks through beyond its indexes

Candidate = tuple[int, int, int]  # pid, sid, first


def find(connection: sqlite3.Connection, query: SearchQuery) -> Iterator[SearchHit]:
    """Give at most `query.limit` hits, lazily.

    Raises:
        RecgateError: the pattern is none, or more text would have to be looked at than `MAX_LOOKED_AT`.
    """
    with closing(Probe()) as probe:
        search = _Search(connection, query, probe)
        for number, hit in enumerate(search.hits()):
            if number >= query.limit:
                return
            yield hit


class _Search:
    def __init__(self, connection: sqlite3.Connection, query: SearchQuery, probe: Probe) -> None:
        self._connection = connection
        self._query = query
        self._probe = probe
        self._words = Words(list(map(storable, query.terms)), list(map(storable, query.phrases)), probe)
        self._pattern = compile_pattern(storable(query.regex)) if query.regex else None
        self._looked_at = 0

    def hits(self) -> Iterator[SearchHit]:
        """Give all hits: sessions by their start, and in each the entries of all its packs merged."""
        # By entry number and part; the count keeps hits themselves uncompared.
        open_: list[tuple[int, int, int, SearchHit]] = []
        count, current = 0, None
        for pid, sid, first in self._candidates():
            # Packs come by their first entry: whatever is lower than that can be followed by nothing lower.
            while open_ and (sid != current or open_[0][0] < first):
                yield heapq.heappop(open_)[3]
            current = sid
            for hit in self._hits_in(pid):
                count += 1
                heapq.heappush(open_, (hit.entry, hit.part, count, hit))
        while open_:
            yield heapq.heappop(open_)[3]

    def _candidates(self) -> Iterator[Candidate]:
        where, arguments = ["1"], list[object]()
        if self._words.wanted:
            where.append("p.pid IN (SELECT rowid FROM words WHERE words MATCH ?)")
            arguments.append(self._words.wanted)
        for name, value in self._query.fields:
            condition, more = _condition(name, value)
            where.append(condition)
            arguments += more
        if self._query.since is not None:
            where.append("p.ends >= ?")
            arguments.append(self._query.since)
        if self._query.until is not None:
            where.append("p.begins < ?")
            arguments.append(self._query.until)
        sql = (
            "SELECT p.pid, p.sid, p.first FROM session s JOIN pack p ON p.sid = s.sid "  # noqa: S608 - constants
            f"WHERE {' AND '.join(where)} ORDER BY s.started DESC, s.sid DESC, p.first"
        )
        return cast("Iterator[Candidate]", self._connection.execute(sql, arguments))

    def _hits_in(self, pid: int) -> Iterator[SearchHit]:
        found = self._connection.execute(
            "SELECT s.id, s.user, s.target, s.started, p.kind, p.members "
            "FROM pack p JOIN session s ON s.sid = p.sid WHERE p.pid = ?",
            (pid,),
        ).fetchone()
        if found is None:  # purged since the query began
            return
        session, user, target, started, kind, members = found
        pack = unpack(kind, (), members)
        texts = [pack.text(member) for member in pack.members]
        self._count(texts)
        for place in self._matching(pack, texts):
            member = pack.members[place]
            if self._in_time(started + member.t / 1e6):
                yield SearchHit(session, member.n, member.t, user, target, kind, texts[place], member.part)

    def _matching(self, pack: Pack, texts: list[str]) -> list[int]:
        places = list(range(len(texts)))
        words = self._words
        if words.exact and (words.needs_probe or len(texts) > 1):
            places = sorted(self._probe.matching(texts, words.exact))
        if words.symbols:
            places = [place for place in places if words.holds_symbols(texts[place])]
        if self._pattern is not None:
            places = [place for place in places if self._pattern(texts[place])]
        return places

    def _count(self, texts: list[str]) -> None:
        self._looked_at += sum(map(len, texts))
        if self._looked_at > MAX_LOOKED_AT:
            raise RecgateError(
                f"search-fts5: stopped after {MAX_LOOKED_AT >> 30} GiB of text, newest first; "
                "narrow the search with since:, until:, user:, target: or a word"
            )

    def _in_time(self, at: float) -> bool:
        since, until = self._query.since, self._query.until
        return (since is None or at >= since) and (until is None or at < until)


def _condition(name: str, value: str) -> tuple[str, list[object]]:
    compare, argument = _comparison(storable(value).casefold())
    if name == "kind":
        return f"p.kind {compare}", [argument]
    if name in SESSION_FACTS:
        return f"p.sid IN (SELECT sid FROM fact WHERE name = ? AND value {compare})", [name, argument]  # noqa: S608 - a constant
    return f"p.pid IN (SELECT pid FROM term WHERE name = ? AND value {compare})", [name, argument]  # noqa: S608 - a constant


def _comparison(value: str) -> tuple[str, str]:
    if "*" not in value:
        return "= ?", value
    escaped = value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return "LIKE ? ESCAPE '\\'", escaped
