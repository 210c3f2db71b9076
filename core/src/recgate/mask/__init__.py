"""Masks, engine-neutral: where maskers find something, and what a found value becomes."""

from recgate.mask.choosing import Selected, selected
from recgate.mask.columns import ColumnMask, ColumnPattern
from recgate.mask.masking import Hit, Mask, MaskFailed, Masking
from recgate.mask.replacing import Becomes, Replacer
from recgate.mask.streaming import Finder, Judged, MaskedSpan, StreamMasker

__all__ = [
    "Becomes",
    "ColumnMask",
    "ColumnPattern",
    "Finder",
    "Hit",
    "Judged",
    "Mask",
    "MaskFailed",
    "MaskedSpan",
    "Masking",
    "Replacer",
    "Selected",
    "StreamMasker",
    "selected",
]
