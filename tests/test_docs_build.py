"""The manual builds without a warning, as `make docs` builds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import DOCS

BUILD = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]


def build(source: Path, place: Path) -> subprocess.CompletedProcess[str]:
    """Build with doctrees of its own, so that nothing is left out as unchanged."""
    command = [*BUILD, "-d", str(place / "doctrees"), str(source), str(place / "html")]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )


@pytest.mark.timeout(180)
def test_the_manual_builds_without_a_warning(tmp_path: Path) -> None:
    built = build(DOCS, tmp_path)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "html/tutorial/index.html").exists()


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text(encoding="utf-8"), encoding="utf-8")
    (source / "_static").mkdir()
    (source / "_static/recgate.css").touch()
    (source / "index.md").write_text("# Manual\n\n[](nowhere.md)\n", encoding="utf-8")
    built = build(source, tmp_path)
    assert built.returncode != 0
    assert "nowhere.md" in built.stderr
