"""What hangs on names alone is opaque until they were looked at, and then an act like any other."""

from __future__ import annotations

from recgate.policy import Act
from recgate_postgres.acts import read
from recgate_postgres.hinges import Hinged, told


def test_an_act_says_what_it_hangs_on() -> None:
    (act,) = read("select a.f(1), 2 ### 3, n::mood from t").acts
    assert isinstance(act, Hinged)
    assert act.opaque
    assert set(act.hinges) == {
        ("function", ("a", "f")),
        ("operator", ("###",)),
        ("type", ("mood",)),
    }


def test_what_is_opaque_anyway_hangs_on_nothing() -> None:
    (act,) = read("select f(1), query_to_xml(q, true, true, '') from t").acts
    assert act.opaque
    assert not isinstance(act, Hinged)


def test_what_was_looked_at_is_an_act_like_any_other() -> None:
    (hinged,) = read("select f(1) from t").acts
    (usual,) = read("select f(1) from t").acts
    assert hinged == usual
    assert told(hinged, opaque=False) == Act(
        "SELECT", tables=("t",), functions=("f",), has_where=False, has_limit=False
    )
    assert told(hinged, opaque=True).opaque
    assert told(Act("SELECT"), opaque=True) == Act("SELECT", opaque=True)
    assert told(Act("DO", opaque=True), opaque=True) == Act("DO", opaque=True)
