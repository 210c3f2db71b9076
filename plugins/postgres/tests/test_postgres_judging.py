"""What the judge of a connection keeps: in bounds, and never for longer than it is true."""

from __future__ import annotations

import pytest

from plugins.postgres.tests.tracing import HIDDEN, Scene, column_mask, shows
from recgate.sansio.frames import Request
from recgate_postgres.names import Names
from recgate_postgres.origin import judging
from recgate_postgres.origin.judging import Judge
from recgate_postgres.origin.model import Traced
from recgate_postgres.origin.overlay import Overlay
from recgate_postgres.origin.sights import Sight
from recgate_postgres.origin.snapshot import Snapshot
from recgate_postgres.origin.tracing import Tracer
from recgate_postgres.requests import Portal, SimpleDetails, Statement
from recgate_postgres.settings import Settings


def make(scene: Scene, *masks):
    names, settings = Names(), Settings()
    settings.report(b"client_encoding", "UTF8")
    settings.report(b"server_encoding", "UTF8")
    settings.report(b"standard_conforming_strings", "on")
    judge = Judge(masks or (column_mask(),), scene, scene.trace, settings, names.opened)
    details = SimpleDetails(names, False)

    def ask(text: str):
        details.text = text.encode()
        judge.query(details, behind=False)
        plan = judge.taken()
        return plan.outcomes if plan is not None else None

    return judge, ask


def test_a_text_is_traced_once_for_as_long_as_its_names_mean_the_same():
    scene = Scene()
    _, ask = make(scene)
    first = ask("select ssn")
    assert ask("select ssn") == first
    assert scene.traced == ["select ssn"]

    assert isinstance(scene.now, Sight)
    scene.now = Sight(scene.now.catalog, ("pg_catalog", "other"))
    scene.statements["select ssn"] = shows(frozenset())
    assert ask("select ssn") != first


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(judging, "MAX_CACHED", 3)
    scene = Scene(**{f"select {n}": shows(HIDDEN) for n in range(10)})
    judge, ask = make(scene)
    for n in range(10):
        ask(f"select {n}")

    assert len(judge._outcomes) <= 3
    assert len(judge._covering) <= 3


def test_whoever_gives_too_many_names_is_not_followed_any_more(monkeypatch):
    monkeypatch.setattr(judging, "MAX_SPOKEN", 2)
    judge, ask = make(
        Scene(
            **{
                f"declare c{n} cursor for select 1": Traced(made=(("cursor", f"c{n}", shows()),))
                for n in range(3)
            }
        )
    )
    assert ask("declare c0 cursor for select 1")
    assert ask("declare c1 cursor for select 1")
    ask("declare c2 cursor for select 1")

    assert ask("fetch c") is None
    assert judge.refusal is not None
    assert "nothing is known of a cursor" in judge.refusal.reason


def test_a_name_with_more_than_one_meaning_is_not_followed():
    judge, _ = make(Scene())
    statement = Statement(b"s", b"select 1")
    statement.redefine(b'EXECUTE "s"', (b"select 1", b"prepare s as select ssn"))
    portal = Portal(b"", statement, "utf-8", Names())
    judge.portal(portal)

    assert judge.refusal is not None
    assert "may mean more than one statement" in judge.refusal.reason
    assert judge.taken() is None
    assert portal.plan is None


def test_two_texts_of_one_name_that_differ_in_width_are_doubt():
    scene = Scene()
    judge, ask = make(scene)
    ask("declare c cursor for select ssn")
    scene.statements["declare c cursor for select name"] = Traced(
        made=(("cursor", "c", shows(HIDDEN, HIDDEN)),)
    )
    ask("declare c cursor for select name")

    assert ask("fetch c") is None
    assert judge.refusal is not None
    assert "may mean more than one thing" in judge.refusal.reason


@pytest.mark.parametrize(("text", "codec", "said"), [
    ("select 'é'".encode("latin-1"), "utf-8", "it is not UTF8"),
    ("select 'é'".encode(), "utf-8", "nobody knows this"),
    (b"select 1" + b"; select 1" * 1000, "utf-8", "more than 1000 statements"),
])  # fmt: skip
def test_what_cannot_be_read_is_doubt(text, codec, said):
    judge, _ = make(Scene())
    portal = Portal(b"", Statement(b"", text, codec=codec), codec, Names())
    judge.portal(portal)

    assert judge.refusal is not None
    assert said in judge.refusal.reason


def test_a_tracer_that_counts_statements_otherwise_is_not_believed():
    scene = Scene()
    scene.trace = lambda text, catalog, path, trusted=frozenset(): [shows(frozenset())]  # type: ignore[method-assign]
    judge, ask = make(scene)

    assert ask("select 1; select ssn") is None
    assert judge.refusal is not None
    assert "how many statements" in judge.refusal.reason


def test_whatever_a_tracer_raises_refuses_that_request_and_no_more():
    scene = Scene()
    judge, ask = make(scene)

    def trace(text, catalog, path, trusted):
        raise KeyError(text)

    judge._trace = trace

    assert ask("select ssn") is None
    assert judge.refusal is not None
    assert judge.refusal.reason.startswith("following it failed (KeyError)")


def test_a_sessions_view_of_a_catalog_can_be_traced_through():
    """What is learnt of a catalog is kept by weak references to it."""
    overlay = Overlay(Snapshot(18, 7, (), ()), ("pg_catalog",), (frozenset(), frozenset()))

    assert Tracer(overlay).trace("select 1", ("pg_catalog",))


def test_functions_are_trusted_that_every_mask_trusts():
    scene = Scene()
    _, ask = make(
        scene, column_mask(trusted=frozenset({"f", "g"})), column_mask(trusted=frozenset({"g", "h"}))
    )
    ask("select ssn")

    assert scene.trusted == {"g"}


def test_requests_are_taken_in_the_order_in_which_they_were_judged():
    judge, _ = make(Scene())
    names = Names()
    for text in (b"select ssn", b"select f()", b"select 1"):
        judge.portal(Portal(b"", Statement(b"", text), "utf-8", names))

    taken = [judge.taken() for _ in range(4)]
    assert [plan is not None and bool(plan.outcomes[0].hides) for plan in taken] == [
        True,
        False,
        False,
        False,
    ]
    assert taken[1] is None
    assert taken[2] is not None
    assert Request("sql", "", 0).details == {}
