"""The vendor kit for maskers finds what it is there to find: each promise, broken once."""

import re

import pytest

from recgate.testing.maskers import MaskerContract


class Digits:
    """Finds four digits in a row."""

    name = "pii"
    ascii = True

    def spans(self, data, *, final):
        return [(*found.span(), "pin") for found in re.finditer(rb"[0-9]{4}", data)]

    def hints(self, data):
        return [found.span() for found in re.finditer(rb"[0-9]{4}", data)]

    def growing(self, data):
        found = re.search(rb"[0-9]{1,4}\Z", data)
        return found.start() if found else len(data)


class TestAMaskerThatKeepsIt(MaskerContract):
    found = ((b"4711", "pin"),)
    harmless = (b"471", b"none")

    def make_masker(self):
        return Digits()


class Anchored(Digits):
    def spans(self, data, *, final):
        return [(*found.span(), "pin") for found in re.finditer(rb"\A[0-9]{4}\Z", data)]


class Eager(Digits):
    def spans(self, data, *, final):
        return [(0, len(data), "pin")] if data else []


class Outside(Digits):
    def spans(self, data, *, final):
        return [(0, len(data) + 1, "pin")]


class Quadratic(Digits):
    def spans(self, data, *, final):
        for start in range(0, len(data), 4):
            data[start:].count(b"\0")
        return super().spans(data, final=final)


class Hintless(Digits):
    def hints(self, data):
        return [found.span() for found in re.finditer(rb"\b[0-9]{4}\b", data)]


class Hasty(Digits):
    def growing(self, data):
        return len(data)


BROKEN = [
    (Anchored, "test_what_it_finds_is_found_whole_and_wherever_it_stands"),
    (Eager, "test_nothing_is_found_in_what_is_harmless"),
    (Outside, "test_spans_lie_within_the_value_whatever_it_is"),
    (Quadratic, "test_time_is_linear_in_what_almost_matches"),
    (Hintless, "test_hints_lead_to_every_value"),
    (Hasty, "test_a_value_that_comes_in_parts_is_waited_for"),
]


@pytest.mark.parametrize(("masker", "promise"), BROKEN)
def test_a_broken_promise_is_seen(masker, promise):
    contract = TestAMaskerThatKeepsIt()
    contract.make_masker = masker

    with pytest.raises(AssertionError):
        getattr(contract, promise)()


@pytest.mark.parametrize(
    "promise",
    [
        "what_it_finds_is_found_whole_and_wherever_it_stands",
        "nothing_is_found_in_what_is_harmless",
    ],
)
def test_a_contract_that_names_nothing_fails(promise):
    with pytest.raises(pytest.fail.Exception, match="this contract needs"):
        getattr(MaskerContract(), f"test_{promise}")()
