"""Masks, engine-neutral: where maskers find something, and what a found value becomes."""

from recgate.mask.choosing import Selected, looked_for, selected
from recgate.mask.columns import ColumnMask, ColumnPattern
from recgate.mask.inputs import InputPolicy, Inputs, Pasted
from recgate.mask.masking import Hit, Mask, MaskFailed, Masking
from recgate.mask.replacing import Becomes, Replacer
from recgate.mask.streaming import Finder, Judged, MaskedSpan, StreamMasker

__all__ = [
    "Becomes",
    "ColumnMask",
    "ColumnPattern",
    "Finder",
    "Hit",
    "InputPolicy",
    "Inputs",
    "Judged",
    "Mask",
    "MaskFailed",
    "MaskedSpan",
    "Masking",
    "Pasted",
    "Replacer",
    "Selected",
    "StreamMasker",
    "looked_for",
    "selected",
]
