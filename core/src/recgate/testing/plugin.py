"""Loaded by pytest wherever recgate is installed: a plugin's suite has the kit without importing it first."""

from __future__ import annotations

import pytest

# The kit's assertions are shown with their values, as a test's own are.
pytest.register_assert_rewrite(
    "recgate.testing.contracts",
    "recgate.testing.running",
    "recgate.testing.policies",
    "recgate.testing.maskers",
)
