"""Which columns a pattern means, and what is refused where nobody says for certain which are shown."""

import pytest

from core.tests.test_session import make
from recgate.decisions import Effect
from recgate.mask import Becomes, ColumnMask, ColumnPattern, Replacer
from recgate.mask.columns import COLUMNS, ColumnPolicy, ColumnRefusal, strictest
from recgate.model import Principal, TargetInfo
from recgate.providers import PolicyRequest
from recgate.sansio.frames import Request


@pytest.mark.parametrize(("pattern", "column", "meant"), [
    ("*.ssn", ("public", "people", "ssn"), True),
    ("*.ssn", ("public", "people", "ssn2"), False),
    ("*.ssn", ("public", "people", "xssn"), False),
    ("*.*", ("pg_catalog", "pg_class", "oid"), True),
    ("customers.email", ("public", "customers", "email"), True),
    ("customers.email", ("sales", "customers", "email"), True),
    ("customers.email", ("public", "Customers", "EMAIL"), True),
    ("customers.email", ("customers", "email", "x"), False),
    ("sales.customers.email", ("sales", "customers", "email"), True),
    ("sales.customers.email", ("public", "customers", "email"), False),
    ("s?les.c*s.e*", ("sales", "customers", "email"), True),
    ("s?les.c*s.e*", ("sles", "customers", "email"), False),
    ('"a.b".c', ("public", "a.b", "c"), True),
    ('"a.b".c', ("a", "b", "c"), False),
    ('"a""b".c', ("public", 'a"b', "c"), True),
    ('"*".c', ("public", "anything", "c"), False),
    ("a.b", ("public", "a\nx", "b"), False),
    ("*.b", ("public", "a\nx", "b"), True),
    ("a+.b", ("public", "aa", "b"), False),
])  # fmt: skip
def test_a_pattern_means_columns_by_their_names(pattern, column, meant):
    assert ColumnPattern(pattern).matches(*column) is meant


@pytest.mark.parametrize("pattern", ["", "ssn", "a.b.c.d", "a..b", ".a.b", "a.b.", 'a."b', "a b.c", "a.\0b"])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(ValueError, match=r"TABLE\.COLUMN or SCHEMA\.TABLE\.COLUMN"):
        ColumnPattern(pattern)


def mask(name, becomes, *patterns):
    replacer = Replacer(becomes, keep=4, key=b"k")
    return ColumnMask(name, tuple(map(ColumnPattern, patterns)), replacer)


def test_of_masks_that_want_the_same_column_the_strictest_has_it():
    masks = [
        mask("a", Becomes.KEEP_LAST, "*.x"),
        mask("b", Becomes.NULL, "*.x"),
        mask("c", Becomes.HASH, "*.x"),
    ]

    assert strictest(masks).name == "b"
    assert masks[0].covers("s", "t", "x")
    assert not masks[0].covers("s", "t", "y")


def decide(details, kind="sql"):
    session, _ = make()
    request = PolicyRequest(
        Request(kind, "select 1", 0, details),
        Principal("i", "1", "a"),
        TargetInfo("db", "tiny", "h", 1, None),
        session,
    )
    return ColumnPolicy().decide(request)


def test_a_request_is_refused_as_its_protocol_says():
    assert decide({COLUMNS: None}).effect is Effect.ALLOW
    denied = decide({COLUMNS: ColumnRefusal("pii", "f() may show anything")})
    assert (denied.effect, denied.rule, denied.reason) == (Effect.DENY, "pii", "f() may show anything")
    assert decide({}, "session").effect is Effect.ALLOW


@pytest.mark.parametrize("details", [{}, {COLUMNS: ""}, {COLUMNS: True}, {COLUMNS: ("pii",)}])
def test_a_protocol_that_says_nothing_for_certain_is_a_no(details):
    assert decide(details).effect is Effect.DENY
    assert decide(details, "file").effect is Effect.DENY


def test_no_kind_of_request_but_the_opening_goes_unjudged():
    assert not ColumnPolicy().judges("session")
    assert ColumnPolicy().judges("sql")
    assert ColumnPolicy().judges("file")
