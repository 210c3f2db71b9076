"""The metrics, from the registry that a scrape reads."""

from __future__ import annotations

import ast
import inspect

from docs.generators.pages import page, table
from recgate import metrics

__all__ = ["metrics_page"]

_KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram"}


def metrics_page() -> str:
    """Every metric with its labels."""
    rows = [
        (
            f"`{name}{'_total' if kind == 'Counter' else ''}`",
            _KINDS[kind],
            ", ".join(f"`{x}`" for x in labels),
            text,
        )
        for kind, name, text, labels in _declared()
    ]
    introduction = """
A listener with `protocol: metrics` serves these in Prometheus' text format on `/metrics`, on an address of
its own, without authentication: bind it to loopback or to a network that only your Prometheus reaches.
Labels are protocols, targets and words for reasons, never a principal, an address or anything else that a
peer chose.
"""
    return page("Metrics", introduction, table(("metric", "kind", "labels", "counts"), rows))


def _declared() -> list[tuple[str, str, str, list[str]]]:
    """Kind, name, help and labels of each declaration, in the order of the source."""
    found: list[tuple[str, str, str, list[str]]] = []
    for node in ast.walk(ast.parse(inspect.getsource(metrics))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _KINDS:
            name, text = (ast.literal_eval(argument) for argument in node.args[:2])
            labels = ast.literal_eval(node.args[2]) if len(node.args) > 2 else []
            found.append((node.func.id, name, text, labels))
    return found
