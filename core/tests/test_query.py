"""The search language: what is understood, and what is refused with a remedy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.providers import SearchQuery
from recgate.transcript.query import FIELDS, QueryError, parse_query

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("DROP DATABASE", SearchQuery(terms=("DROP", "DATABASE"))),
        ('"drop database" x', SearchQuery(terms=("x",), phrases=("drop database",))),
        ("verb:drop object:database", SearchQuery(fields=(("verb", "drop"), ("object", "database")))),
        ('User:"alice smith" drop*', SearchQuery(terms=("drop*",), fields=(("user", "alice smith"),))),
        ("path:*.sql secret:*", SearchQuery(fields=(("file", "*.sql"), ("secret", "*")))),
        (
            "table:shop.customers since:1d",
            SearchQuery(fields=(("table", "shop.customers"),), since=NOW - 86_400),
        ),
        ("/drop\\s+table/", SearchQuery(regex="drop\\s+table")),
        ("/a b\\/c/i x", SearchQuery(terms=("x",), regex="(?i)a b/c")),
        ("/etc/passwd", SearchQuery(terms=("/etc/passwd",))),
        ("cat /etc/shadow /tmp/x", SearchQuery(terms=("cat", "/etc/shadow", "/tmp/x"))),
        ("https://x.example/a 12:30 -- C:\\x", None),
        (
            "https://x.example/a 12:30 -- a=b:c",
            SearchQuery(terms=("https://x.example/a", "12:30", "--", "a=b:c")),
        ),
        ("file:/etc/passwd", SearchQuery(fields=(("file", "/etc/passwd"),))),
        ("a\n\tb", SearchQuery(terms=("a", "b"))),
        ('""  a', SearchQuery(terms=("a",))),
    ],
)
def test_a_query_is_understood(text, query):
    if query is None:
        with pytest.raises(QueryError):
            parse_query(text, NOW)
    else:
        assert parse_query(text, NOW) == query


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write what to look for"),
        ("   ", "write what to look for"),
        ('drop "table', "add the closing one"),
        ("usr:alice", r'did you mean user:\?.*quote it: "usr:alice"'),
        ("user:", "needs a value"),
        ("user: alice", "needs a value"),
        ("since:tomorrow", "write how long ago"),
        ("/a/ /b/", "one /pattern/"),
        ("a " * 100, "fewer"),
        ("a" * 10_001, "search for a part"),
    ],
)
def test_what_is_not_understood_is_said_with_a_remedy(text, remedy):
    with pytest.raises(QueryError, match=remedy):
        parse_query(text, NOW)


@given(st.text(alphabet=st.sampled_from('ab"/\\: *\t\nuser:since1d{}()é\u202e\0')) | st.text())
def test_any_text_is_a_query_or_is_refused(text):
    try:
        query = parse_query(text, NOW)
    except QueryError:
        return
    assert {name for name, _ in query.fields} <= set(FIELDS.values())
    assert all(term and not any(c.isspace() for c in term) for term in query.terms)


@given(st.lists(st.text(alphabet="abcXYZ019_-.%'", min_size=1), min_size=1, max_size=10))
def test_plain_words_come_back_as_they_were_typed(words):
    assert parse_query(" ".join(words), NOW).terms == tuple(words)
