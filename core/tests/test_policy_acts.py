"""A request always does something; what nobody can say of SQL is opaque."""

from __future__ import annotations

from recgate.policy import Act, acts_of
from recgate.sansio.frames import Request


def test_a_protocol_says_what_its_request_does() -> None:
    acts = (Act("DROP", ("table public.customers",)), Act("SELECT"))
    assert acts_of(Request("sql", "…", details={"acts": acts})) == acts


def test_sql_of_which_nothing_is_said_is_opaque() -> None:
    assert [act.opaque for act in acts_of(Request("sql", "DROP TABLE customers"))] == [True]
    assert [act.opaque for act in acts_of(Request("sql", "", details={"acts": ()}))] == [True]


def test_what_has_no_acts_does_one_thing() -> None:
    assert acts_of(Request("session", "prod-db")) == (Act(),)
