"""Every kind of node that is followed is one of the grammar, and everything else is refused."""

from __future__ import annotations

import pytest
from postgast.pg_query_pb2 import Node

from plugins.postgres.tests.handmade import PATH, TRACER
from recgate_postgres.origin import expressions, selecting, sources, statements, subqueries
from recgate_postgres.origin.model import Untraceable
from recgate_postgres.origin.scope import Scope
from recgate_postgres.origin.work import Budget, Work

KINDS = {field.message_type.name for field in Node.DESCRIPTOR.fields if field.message_type is not None}


def work() -> Work:
    return Work(TRACER.catalog, PATH, selecting.select, lambda *given: pytest.fail("nothing is written"))


def test_no_kind_is_misspelt():
    known = {
        *expressions.CONSTANT,
        *expressions.WHOLE,
        *expressions.HANDLERS,
        *sources.HANDLERS,
        *statements.QUIET,
    }
    assert known - KINDS == set()


def test_another_kind_of_expression_is_refused():
    for kind in KINDS - {*expressions.CONSTANT, *expressions.WHOLE, *expressions.HANDLERS}:
        with pytest.raises(Untraceable, match=kind):
            expressions.value(work(), {kind: {}}, Scope())


def test_another_kind_of_source_is_refused():
    for kind in KINDS - {*sources.HANDLERS}:
        with pytest.raises(Untraceable, match=kind):
            sources.source(work(), {kind: {}}, Scope())


def test_another_kind_of_statement_is_refused():
    followed = {*statements.QUIET, *statements.HANDLERS, *statements.DEFINING, "SelectStmt"}
    for kind in KINDS - followed:
        with pytest.raises(Untraceable):
            statements.statement(work(), {kind: {}})


def test_with_without_queries_is_nothing():
    scope = Scope()
    subqueries.with_clause(work(), {}, scope)
    assert scope.named == {}


def test_a_budget_ends():
    budget = Budget(2)
    budget.spend(2)
    with pytest.raises(Untraceable, match="too large"):
        budget.spend()
