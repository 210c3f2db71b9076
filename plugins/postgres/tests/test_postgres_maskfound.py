"""What a read's masks found: counted always, kept only where it is asked for."""

from __future__ import annotations

from recgate_postgres.maskfound import Found


def test_values_are_counted_and_not_kept() -> None:
    found = Found()
    found.note("pii.email", "mail", b"alice@example.com")
    found.note("pii.email", "mail", b"bob@example.com")
    assert found == {("pii.email", "mail"): 2}
    assert found.kept("pii.email", "mail").values == []


def test_values_are_kept_by_rule_and_place() -> None:
    found = Found(keeps=True)
    found.note("pii.email", "mail", b"alice@example.com")
    found.note("pii.email", "other", b"bob@example.com")
    assert found.kept("pii.email", "mail").values == [b"alice@example.com"]
    found.clear()
    assert not found
    assert found.kept("pii.email", "mail").values == []
