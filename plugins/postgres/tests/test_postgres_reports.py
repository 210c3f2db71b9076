"""Errors and notices of statements that touch masked columns, and of all others."""

import pytest

from recgate_postgres.messages import fields_of
from recgate_postgres.origin.reports import withheld

SECRET = "078-05-1120"


def report(code, **fields):
    body = f"SERROR\0VERROR\0C{code}\0" + "".join(f"{key}{value}\0" for key, value in fields.items())
    return body.encode() + b"\0"


@pytest.mark.parametrize(
    "code", ["22P02", "23505", "42P01", "42704", "XX000", "P0001", "00000", "01000", "3F000", "34000"]
)
def test_of_what_touches_masked_columns_nothing_is_quoted(code):
    body = report(code, M=SECRET, D=SECRET, H=SECRET, s="public", t="people", n="key", R="exec")
    new = withheld(body, guarded=True)

    assert SECRET.encode() not in new
    fields = fields_of(new)
    assert fields["M"] == f"withheld, since it may quote masked values (SQLSTATE {code})".encode()
    assert (fields["S"], fields["C"], fields["t"], fields["n"]) == (
        b"ERROR",
        code.encode(),
        b"people",
        b"key",
    )
    assert new.endswith(b"\0\0")


def test_what_a_functions_own_code_says_can_be_in_any_field():
    said = dict.fromkeys("MDHWqstcdn", SECRET)
    for guarded in (True, False):
        assert SECRET.encode() not in withheld(report("P0001", **said), guarded=guarded)


def test_what_is_found_while_a_statement_is_read_stays():
    body = report("42703", M='column "x" does not exist', H="Perhaps", P="8")
    assert withheld(body, guarded=True) == body
    coded = report("42703", M=SECRET, P="8", W="PL/pgSQL function f()")
    assert SECRET.encode() not in withheld(coded, guarded=True)
    assert SECRET.encode() not in withheld(coded, guarded=False)


@pytest.mark.parametrize("code", ["57014", "40001", "25P02", "53300", "55P03", "08006"])
def test_words_about_connection_and_locks_stay_without_their_detail(code):
    new = withheld(report(code, M="said", D=SECRET), guarded=True)

    assert fields_of(new)["M"] == b"said"
    assert SECRET.encode() not in new


def test_of_any_other_statement_what_it_says_of_a_row_is_left_out():
    new = withheld(
        report("23514", M="new row violates check", D=f"Failing row contains ({SECRET})."), guarded=False
    )
    assert fields_of(new)["M"] == b"new row violates check"
    assert SECRET.encode() not in new

    notice = report("00000", M="drop cascades to 2 other objects", D="view a\nview b")
    assert withheld(notice, guarded=False) == notice
    raised = withheld(report("P0001", M=SECRET, W="PL/pgSQL function f() line 1 at RAISE"), guarded=False)
    assert SECRET.encode() not in raised
