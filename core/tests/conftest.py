"""Recordings that several test modules read; made once, since sealing them takes a process."""

from __future__ import annotations

import pytest

from core.tests.recorded import Archive, furnish


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A gateway's data directory with a few sessions in it. Tests add to it, and change nothing."""
    return furnish(Archive(tmp_path_factory.mktemp("archive")))
