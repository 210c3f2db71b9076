"""Interleave the contenders of one measurement, and reduce its rounds to medians and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

__all__ = ["Samples", "interleaved", "median", "paired", "percentile"]

# contender -> one value a round
Samples = dict[str, list[float]]


def interleaved(rounds: int, contenders: Mapping[str, Callable[[], float]]) -> Samples:
    """Run each contender once a round, in order, `rounds` times; what disturbs one then disturbs its neighbours."""
    samples: Samples = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            samples[name].append(run())
    return samples


def median(values: Sequence[float]) -> float:
    """Give the median; 0 of nothing."""
    return statistics.median(values) if values else 0.0


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Give the median of the rounds' own ratios, which a machine that slows down half-way does not move."""
    return median([a / b for a, b in zip(ours, theirs, strict=True) if b])


def percentile(values: Sequence[float], share: float) -> float:
    """Give the value that `share` (0 to 1) of all values do not exceed, without interpolation."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
