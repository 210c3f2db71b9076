"""Which masks a session has: by the labels of its target, and not for whom they spare."""

import pytest

from recgate.config import MaskSettings, PluginEntry
from recgate.config.values import Settings
from recgate.errors import AccessDenied
from recgate.mask import Becomes, ColumnPattern, Selected, selected
from recgate.model import Principal, Secret, TargetInfo


class Finds:
    def __init__(self, name):
        self.name = name

    def spans(self, data, *, final):
        return [(0, len(data), "all")]


ALICE = Principal("i", "1", "alice", frozenset({"dba"}))


def target(**labels):
    return TargetInfo("db", "postgres", "h", 1, None, labels)


def of(*masks, names=("pii",)):
    return Selected(masks, [Finds(name) for name in names], lambda: Secret(b"k" * 32), lambda: 0.0)


def test_without_a_mask_that_applies_there_is_none():
    mask = MaskSettings("pii", (), targets={"data": ("pii", "pci")})

    assert selected(of(), target(data="pii"), ALICE) is None
    assert selected(of(mask), target(), ALICE) is None
    assert selected(of(mask), target(data="open"), ALICE) is None
    assert selected(of(mask), target(data="pci"), ALICE) is not None
    assert selected(of(MaskSettings("pii", ())), target(), ALICE) is not None


@pytest.mark.parametrize(
    ("exempt", "spared"),
    [("group:dba", True), ("user:alice", True), ("group:DBA", False), ("user:al", False)],
)
def test_it_spares_whom_it_names_exactly(exempt, spared):
    mask = MaskSettings("pii", (), exempt=(exempt,))

    assert (selected(of(mask), target(), ALICE) is None) is spared


def test_a_mask_that_nobody_carries_out_opens_nothing():
    with pytest.raises(AccessDenied, match="no installed plugin looks for what the mask pii masks"):
        selected(of(MaskSettings("pii", ()), names=("other",)), target(), ALICE)


def test_each_mask_hashes_with_a_key_of_its_own():
    def hashed(name):
        masking = selected(of(MaskSettings(name, (), Becomes.HASH), names=("a", "b")), target(), ALICE)
        assert masking is not None
        (hit,) = masking.find(b"alice@example.org")
        return hit.replacer.text(b"alice@example.org")

    assert hashed("a") == hashed("a")
    assert hashed("a") != hashed("b")


def test_columns_need_no_plugin_and_carry_what_is_done_about_doubt():
    patterns = (ColumnPattern("*.ssn"),)
    mask = MaskSettings("pii", (), Becomes.HASH, columns=patterns, untraced="mask", predicates="refuse")
    plain = MaskSettings("more", (), columns=patterns)

    masking = selected(of(mask, plain, names=()), target(), ALICE)

    assert masking is not None
    assert [(each.name, each.whole, each.predicates) for each in masking.columns] == [
        ("pii", True, False),
        ("more", False, True),
    ]
    assert masking.hints(b"078-05-1120") == []
    assert masking.find(b"078-05-1120") == []
    looks = MaskSettings("pii", (PluginEntry("detect", Settings()),), columns=patterns)
    with pytest.raises(AccessDenied, match="no installed plugin"):
        selected(of(looks, names=()), target(), ALICE)
