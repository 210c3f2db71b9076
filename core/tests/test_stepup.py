"""What a target demands of a sign-in: said precisely, with the command that meets it; silence meets nothing."""

import pytest

from recgate.config.sections import SignInDemand
from recgate.model import Principal
from recgate.stepup import SKEW, unmet

NOW = 1_000_000.0


def signed_in(**how) -> Principal:
    return Principal("https://idp", "1", "alice", **how)


@pytest.mark.parametrize(
    ("demand", "how", "said"),
    [
        (
            {"acr": ("gold", "platinum")},
            {"acr": "silver"},
            "at gold or platinum: run `recgate login --acr gold`",
        ),
        ({"acr": ("gold",)}, {}, "at gold"),
        (
            {"amr": ("mfa", "hwk")},
            {"amr": frozenset({"mfa", "pwd"})},
            "with hwk: run `recgate login --fresh`",
        ),
        ({"amr": ("mfa",)}, {}, "with mfa"),
        ({"max_age": "1h"}, {"auth_time": NOW - 3601}, "of the last 1 h"),
        ({"max_age": "90s"}, {"auth_time": NOW - 91}, "of the last 90 s"),
        ({"max_age": "10m"}, {}, "of the last 10 min"),
        ({"max_age": "10m"}, {"auth_time": NOW + SKEW + 1}, "of the last 10 min"),
    ],
)
def test_what_is_lacking_is_said_with_the_remedy(demand, how, said):
    assert said in unmet(SignInDemand(**demand), signed_in(**how), NOW)


@pytest.mark.parametrize(
    ("demand", "how"),
    [
        ({}, {}),
        ({"acr": ("gold", "platinum")}, {"acr": "platinum"}),
        ({"amr": ("mfa", "hwk")}, {"amr": frozenset({"hwk", "mfa", "pwd"})}),
        ({"max_age": "1h"}, {"auth_time": NOW - 3600}),
    ],
)
def test_what_is_met_passes(demand, how):
    assert unmet(SignInDemand(**demand), signed_in(**how), NOW) == ""
