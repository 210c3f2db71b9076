"""Write the pages that come from code: `python -m docs.generate [PAGE…]`, from the root of the workspace.

`tests/test_docs_reference.py` compares what this would write with what is there, so the pages cannot grow stale.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from docs.generators.audit import events_page
from docs.generators.commands import commands_page
from docs.generators.configuration import configuration_page
from docs.generators.contracts import hooks_page, kit_page, providers_page, relay_page
from docs.generators.laws import laws_page
from docs.generators.metrics import metrics_page
from docs.generators.policymodel import policy_model_page
from docs.generators.threats import threats_page

__all__ = ["DOCS", "PAGES", "stale"]

DOCS: Final = Path(__file__).resolve().parent

PAGES: Final[dict[str, Callable[[], str]]] = {
    "reference/commands.md": commands_page,
    "reference/configuration.md": configuration_page,
    "reference/hooks.md": hooks_page,
    "reference/providers.md": providers_page,
    "reference/relay.md": relay_page,
    "reference/test-kit.md": kit_page,
    "reference/audit-events.md": events_page,
    "reference/metrics.md": metrics_page,
    "reference/policy-model.md": policy_model_page,
    "explanation/laws.md": laws_page,
    "explanation/threats.md": threats_page,
}


def stale(names: Iterable[str] = PAGES) -> list[str]:
    """Name the pages that are not what the code says now."""
    return [name for name in names if _present(name) != PAGES[name]()]


def _present(name: str) -> str:
    path = DOCS / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def write(names: Iterable[str]) -> None:
    """Write those of the pages that are stale."""
    for name in stale(names):
        (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"wrote docs/{name}")


if __name__ == "__main__":
    write(sys.argv[1:] or PAGES)
