"""Functions that run a text or read what they are told by name."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.handmade import PATH, TRACER
from recgate_postgres.origin.model import Untraceable

REFUSED = {
    "select database_to_xml(true, true, '')": (
        "the function database_to_xml gives out what cannot be followed"
    ),
    "select cursor_to_xml('c', 1, true, true, '')": (
        "the function cursor_to_xml gives out what cannot be followed"
    ),
    "select query_to_xml('select ' || 'ssn from customers', true, true, '')": "is not written out",
    "select query_to_xml(query => 'select 1', nulls => true, tableforest => true, targetns => '')": (
        "is not written out"
    ),
    "select table_to_xml(oid, true, true, '') from customers": "is not written as a plain name",
    "select * from ts_stat('delete from customers')": "is not written out",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_followed(text):
    with pytest.raises(Untraceable) as raised:
        TRACER.trace(text, PATH)
    assert REFUSED[text] in str(raised.value)
