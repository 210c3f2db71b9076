"""Passwords in statements are not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.transcript.withheld import withhold


@pytest.mark.parametrize(
    "text",
    [
        "ALTER ROLE app PASSWORD 's3cret' VALID UNTIL 'x'",
        "alter role app password\n  E's3cret\\'more' x",
        "CREATE USER a PASSWORD 's3cret''s3cret'",
        "CREATE USER a PASSWORD $x$s3cret$x$ LOGIN",
        "CREATE USER a PASSWORD $$s3cret$$ LOGIN",
        "CREATE USER a PASSWORD 's3cret and cut off",
        "CREATE SUBSCRIPTION s CONNECTION 'host=x password=''s3cret'''",
        "CREATE SUBSCRIPTION s CONNECTION 'host=x password=s3cret dbname=y'",
        "CREATE USER a PASSWORD/* now */'s3cret'",
        "CREATE USER 'a'@'b' IDENTIFIED WITH plugin BY 's3cret'",
        "CREATE USER 'a'@'b' IDENTIFIED BY 's3cret'",
    ],
)
def test_a_password_literal_is_withheld(text):
    assert "s3cret" not in withhold(text)
    assert "•••" in withhold(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT password FROM users",
        "SELECT 'x' AS passwords",
        "VALID UNTIL 'password'",
        "WHERE password = md5($1)",
    ],
)
def test_what_is_no_password_stays(text):
    assert withhold(text) == text


@given(st.text(alphabet="abpasword='\"$ \\", max_size=200).map(lambda s: "password " + s))
def test_any_text_takes_no_time(text):
    withhold(text * 20)


def test_a_comment_that_never_ends_is_not_searched_for_from_every_word():
    # Without a bound this takes minutes, in the worker that seals everybody's sessions.
    text = "password/*" * 20_000
    assert withhold(text) == text
