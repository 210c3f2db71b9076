"""How long a recording is kept, by the labels of the target that it is of. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["RetentionRules"]


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Seconds after a session's end. `labels` goes by the name of a label, then by its value; None keeps for good."""

    default: float | None = None
    labels: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])

    def kept(self, labels: Mapping[str, str] | None) -> float | None:
        """Give how long a recording is kept of a target with these labels; None for good.

        A rule for a label stands in the place of the default, be it shorter or longer. Of several that apply the
        longest counts, and so does the longest of all where nobody knows the labels any more: what is removed by
        mistake does not come back.
        """
        if labels is None:
            fitting = [each for values in self.labels.values() for each in values.values()]
            if fitting and self.default is None:
                return None
            return max([*fitting, self.default or 0.0]) if fitting else self.default
        fitting = [
            values[labels[name]] for name, values in self.labels.items() if labels.get(name, "") in values
        ]
        return max(fitting) if fitting else self.default

    @property
    def shortest(self) -> float | None:
        """Give the least time that anything is kept; None when everything is kept for good."""
        periods = [each for values in self.labels.values() for each in values.values()]
        if self.default is not None:
            periods.append(self.default)
        return min(periods, default=None)
