"""Which masks apply to a session: by the target's labels, and for whom they do not."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recgate.errors import AccessDenied
from recgate.mask.columns import ColumnMask
from recgate.mask.inputs import Inputs
from recgate.mask.masking import Mask, Masking
from recgate.mask.replacing import Becomes, Replacer
from recgate.model import Principal, Secret, TargetInfo
from recgate.providers import Masker

if TYPE_CHECKING:
    from recgate.config import MaskSettings

__all__ = ["Selected", "looked_for", "selected"]


@dataclass(frozen=True, slots=True)
class Selected:
    """What a session's masks are made of: those configured, the maskers there are, and what hashes are keyed with.

    `keeps` says that originals are sealed into the recording.
    """

    masks: Sequence[MaskSettings]
    maskers: Sequence[Masker]
    key: Callable[[], Secret]
    clock: Callable[[], float]
    keeps: bool = False


def selected(
    of: Selected, target: TargetInfo, principal: Principal, demanded: frozenset[str] = frozenset()
) -> Masking | None:
    """Give the masks of a session of `principal` at `target`, or None where none applies.

    `demanded` are names of masks that a rule demands, wherever they would apply by themselves, and to whom.

    Raises:
        AccessDenied: a mask applies that no plugin can carry out, or one is demanded that there is not.
    """
    if missing := demanded - {mask.name for mask in of.masks}:
        name = min(missing)
        raise AccessDenied(f"a rule demands the mask {name}, and `masks:` has none of that name", rule=name)
    chosen = [
        mask
        for mask in of.masks
        if mask.name in demanded or (mask.covers(target) and not mask.spares(principal))
    ]
    if not chosen:
        return None
    replacers = {mask.name: _replacer(of, mask) for mask in chosen}
    return Masking(
        [_made(of, mask, replacers[mask.name]) for mask in chosen if mask.parts or not mask.columns],
        of.clock,
        [_by_origin(mask, replacers[mask.name]) for mask in chosen if mask.columns],
        keeps=of.keeps,
    )


def looked_for(of: Selected, target: TargetInfo) -> Inputs | None:
    """Give what is looked for in what is sent to a target; None where nothing is. Raises `AccessDenied`."""
    chosen = [mask for mask in of.masks if mask.input != "ignore" and mask.parts and mask.covers(target)]
    if not chosen:
        return None
    masking = Masking([_made(of, mask, _replacer(of, mask)) for mask in chosen], of.clock)
    return Inputs(masking, frozenset(mask.name for mask in chosen if mask.input == "block"))


def _made(of: Selected, mask: MaskSettings, replacer: Replacer) -> Mask:
    maskers = tuple(masker for masker in of.maskers if masker.name == mask.name)
    if not maskers:
        raise AccessDenied(f"no installed plugin looks for what the mask {mask.name} masks", rule=mask.name)
    return Mask(mask.name, maskers, replacer)


def _by_origin(mask: MaskSettings, replacer: Replacer) -> ColumnMask:
    return ColumnMask(
        mask.name,
        mask.columns,
        replacer,
        whole=mask.untraced == "mask",
        predicates=mask.predicates == "allow",
        trusted=frozenset(mask.functions),
    )


def _replacer(of: Selected, mask: MaskSettings) -> Replacer:
    key = b""
    if mask.becomes in (Becomes.HASH, Becomes.TOKENIZE):
        # A key of its own: the same value under two masks must not look the same.
        key = hmac.digest(of.key().reveal(), b"mask\0" + mask.name.encode(), hashlib.sha256)
    return Replacer(mask.becomes, keep=mask.keep, key=key)
