"""No two identity sources may vouch for one name: decided when the configuration is read."""

import pytest

from recgate.config.identity import SourceSettings, collisions, foreign_prefixes, merged_groups
from recgate.config.values import Settings


class Plain(Settings):
    """A source that names its users itself."""


def source(name, prefix=""):
    return SourceSettings(name=name, prefix=prefix)


def found(*entries):
    return [
        (n, key)
        for n, key, _, _ in collisions(
            [
                (each if isinstance(each, str) else "idp", Plain() if isinstance(each, str) else each)
                for each in entries
            ]
        )
    ]


@pytest.mark.parametrize(
    "entries",
    [
        [source("a")],
        ["local", source("a")],
        [source("a"), source("b", "b:")],
        [source("a", "a:"), source("b", "b:"), source("c", "c/")],
        [source("a", "corp:"), source("b", "corp-x:")],
    ],
)
def test_what_can_be_told_apart(entries):
    assert found(*entries) == []


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ([source("a"), source("b")], [(1, "prefix")]),
        ([source("a"), "local", source("b")], [(2, "prefix")]),
        ([source("a"), source("b"), source("c")], [(1, "prefix"), (2, "prefix")]),
        ([source("a", "x:"), source("b", "x:")], [(1, "prefix")]),
        ([source("a"), source("a", "b:")], [(1, "name")]),
        ([source("local"), "local"], [(0, "name")]),
    ],
)
def test_what_cannot(entries, wrong):
    assert found(*entries) == wrong


class Groups(SourceSettings):
    """A source whose provider says which groups people are in."""

    @property
    def brings_groups(self):
        return True


@pytest.mark.parametrize(
    ("entries", "noted"),
    [
        ([Groups(name="corp"), Plain()], [0]),
        ([Plain(), Groups(name="corp")], [1]),
        ([Groups(name="corp", prefix="corp:"), Plain()], []),
        ([source("corp"), Plain()], []),
        ([Groups(name="corp")], []),
    ],
)
def test_groups_of_two_sources_that_are_one_group_are_worth_a_note(entries, noted):
    found = list(merged_groups([("local", each) for each in entries]))

    assert [n for n, _ in found] == noted
    assert all("corp has no prefix" in what and "(local)" in what for _, what in found)


def test_prefixes_of_others():
    mine, other = source("a"), source("b", "b:")

    assert foreign_prefixes(mine, [mine, other, Plain()]) == ("b:",)
    assert foreign_prefixes(other, [mine, other, Plain()]) == ()
