"""Templates of credential paths: what could leave its prefix is refused when it is read, what would when it is used."""

from __future__ import annotations

import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.test_gateway import house, rest
from recgate.credentialpath import expanded, template_fault
from recgate.errors import VaultFailed
from recgate.model import Principal, TargetInfo
from recgate.testing.people import FakeVault

LABELS = {"env": "prod", "odd": "a/b", "up": ".."}
ALLOW = ("user:root", "group:dba", "group:sre")
TARGET = TargetInfo("prod-db", "postgres", "db", 5432, None, LABELS)


def alice(*groups: str, name: str = "alice@corp.example", subject: str = "4711") -> Principal:
    return Principal("https://idp", subject, name, frozenset(groups))


@pytest.mark.parametrize(
    ("path", "gives"),
    [
        ("database/creds/app", "database/creds/app"),
        ("database/creds/{target.labels.env}-{principal.group}", "database/creds/prod-dba"),
        ("secret/{principal.name}/{target.name}", "secret/alice@corp.example/prod-db"),
        ("secret/of-{principal.subject}", "secret/of-4711"),
    ],
)
def test_fields_are_filled_in(path: str, gives: str) -> None:
    assert template_fault(path, LABELS, ALLOW) is None
    assert expanded(path, alice("sre", "dba", "other"), TARGET, ALLOW) == gives


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("secret/{principal.name", "without its other half"),
        ("secret/principal.name}", "without its other half"),
        ("secret/{{principal.name}}", "without its other half"),
        ("{principal.name}", "begins with a field"),
        ("{principal.name}/x", "begins with a field"),
        ("x{principal.name}", "begins with a field"),
        ("/{principal.name}", "begins with a field"),
        ("secret/../{principal.name}", "one of dots"),
        ("secret/./{principal.name}", "one of dots"),
        ("secret//{principal.name}", "empty step"),
        ("secret/{principal.name}/..", "one of dots"),
        ("secret/{principal.name}/", "empty step"),
        ("secret/{principal.email}", "no such field"),
        ("secret/{}", "no such field"),
        ("secret/{target.labels.none}", "which this target has not"),
        ("secret/{target.labels.odd}", "cannot have the value"),
        ("secret/{target.labels.up}", "cannot have the value"),
    ],
)
def test_what_could_escape_or_means_nothing_is_refused_when_it_is_read(path: str, wrong: str) -> None:
    fault = template_fault(path, LABELS, ALLOW)
    assert fault is not None
    assert wrong in fault[0]
    assert fault[1]


def test_a_group_is_needed_where_the_path_names_one() -> None:
    assert template_fault("secret/{principal.group}", LABELS, ("user:root",)) is not None
    with pytest.raises(VaultFailed, match="was let in by name"):
        expanded("secret/{principal.group}", alice("other", name="root"), TARGET, ALLOW)


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "a..b", "../x", "a b", "a\0", "ä", "a%2fb", "a?x", "-a", "a" * 101]
)
def test_threat_24_a_name_that_does_not_belong_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(VaultFailed, match="may not stand in a path"):
        expanded("secret/{principal.name}", alice(name=name), TARGET, ALLOW)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_value_leaves_the_literal_prefix(name: str, subject: str) -> None:
    try:
        path = expanded(
            "secret/of/{principal.name}.{principal.subject}/x",
            alice(name=name, subject=subject),
            TARGET,
            ALLOW,
        )
    except VaultFailed:
        return
    assert posixpath.normpath(path) == path
    assert path.startswith("secret/of/")
    assert path.count("/") == 3


async def test_the_vault_is_asked_for_the_path_as_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    plain = FakeVault.lease

    async def lease(self: FakeVault, path: str, *rest: object) -> object:
        asked.append(path)
        return await plain(self, path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeVault, "lease", lease)
    credential = {"credential": "test:creds/{target.labels.env}-{principal.group}", "labels": {"env": "prod"}}
    async with house(tmp_path, target=credential) as home:
        await home.opened()
        assert asked == ["creds/prod-dba"]


async def test_a_value_that_may_not_stand_in_a_path_is_the_operators_to_read(tmp_path: Path) -> None:
    credential = {"credential": "test:creds/{principal.name}", "allow": ["user:a/b"]}
    async with house(tmp_path, target=credential) as home:
        home.people.people = {"a/b": frozenset()}
        said = await rest(await home.login(secret="a/b:secret"))
        assert b"BYE vault: no credential could be had" in said
        assert b"a/b" not in said
