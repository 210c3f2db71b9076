"""Generated pages are what the code says now, and what pages name exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import DOCS, PAGES
from docs.generators.audit import emitted
from docs.generators.contracts import hook_names
from docs.generators.mentions import ROOT, numbers
from docs.generators.metrics import metrics_page
from recgate.metrics import exposition

HAND_WRITTEN = sorted(
    path
    for path in [*DOCS.rglob("*.md"), ROOT / "README.md"]
    if path.relative_to(ROOT / "docs" if DOCS in path.parents else ROOT).as_posix() not in PAGES
)
REPOSITORY_PATH = re.compile(
    r"`((?:core|plugins|tests|docs|contrib|bench|changelog\.d)/[\w./-]*)(?:::(\w+))?`"
)


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    # In a process of its own: what other tests have loaded and registered here is not what a user sees.
    check = "import sys; from docs.generate import stale; sys.exit(bool(stale(sys.argv[1:])))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RECGATE_")}
    done = subprocess.run(
        [sys.executable, "-c", check, name], cwd=ROOT, env=environment, check=False, timeout=60
    )
    assert done.returncode == 0, f"docs/{name} is stale: run `python -m docs.generate`"


def test_every_hook_is_documented_with_its_exact_signature() -> None:
    page = (DOCS / "reference/hooks.md").read_text(encoding="utf-8")
    source = (ROOT / "core/src/recgate/hookspecs.py").read_text(encoding="utf-8")
    for hook in hook_names():
        signature = re.search(rf"def {hook}\(.*\) -> .*?:", source)
        assert signature, hook
        assert f"\n{signature[0]} ...\n" in page
    assert len(hook_names()) == source.count("@hookspec")


def test_every_metric_of_a_scrape_is_documented() -> None:
    scraped = set(re.findall(r"^# TYPE (\w+) ", exposition().decode(), re.MULTILINE))
    page = metrics_page()
    missing = [name for name in scraped if f"`{name}`" not in page and not name.endswith("_created")]
    assert scraped
    assert not missing


def test_events_are_found_where_they_are_emitted() -> None:
    assert {"session.opened", "session.closed", "login.failed", "access.denied"} <= set(emitted())


def test_every_word_of_the_control_socket_is_documented() -> None:
    page = (DOCS / "reference/control-socket.md").read_text(encoding="utf-8")
    source = (ROOT / "core/src/recgate/control.py").read_text(encoding="utf-8")
    words = re.findall(r'word == "(\w+)"', source)
    assert len(words) >= 4
    assert [word for word in words if f'"do": "{word}"' not in page] == []


@pytest.mark.parametrize("page", HAND_WRITTEN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_page_names_is_there(page: Path) -> None:
    for path, test in REPOSITORY_PATH.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), f"{page.name} names {path}"
        if test:
            assert re.search(rf"def {test}\(", (ROOT / path).read_text(encoding="utf-8")), (
                f"{page.name} names {test}"
            )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(threats 11, 12)", {11, 12}),
        ("test_threat_12_a_peer_says_3_things", {12}),
        ("Threats 7, 9 and 12\u201315.", {7, 9, 12, 13, 14, 15}),
        ("a threat to 3 of them", set()),
    ],
)
def test_a_test_says_which_threats_it_is_about(text: str, found: set[int]) -> None:
    assert numbers("threat", text) == found
