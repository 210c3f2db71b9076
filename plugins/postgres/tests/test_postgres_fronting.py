"""A front answers with the inner half's own words."""

from recgate_postgres.backend import Backend
from recgate_postgres.fronting import Front
from recgate_postgres.names import Names
from recgate_postgres.refusals import Refusals


def test_it_gives_what_the_inner_half_has():
    names, refusals = Names(), Refusals(bytes(16))
    inner = Backend(names, refusals)
    front = Front(inner)

    assert front.names is names
    assert front.refusals is refusals
    assert (front.starting, front.key) == (inner.starting, inner.key)
