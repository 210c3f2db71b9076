"""Requests to a witness: the specification's example, and every other form refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.logs_and_witnesses import SmallLog
from recgate.errors import LedgerDamaged
from recgate.ledger.note import parse_line
from recgate.witness.request import MAX_REQUEST, pack_request, parse_answer, parse_request

# The example of C2SP tlog-witness.
EXAMPLE = """old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
""".encode()  # noqa: E501 - as it was published
LINE = "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n"  # noqa: E501 - as it was published


def test_the_example_of_the_specification_is_read_and_written():
    asked = parse_request(EXAMPLE)

    assert (asked.old, len(asked.proof), asked.head.size) == (20852014, 4, 20852163)
    assert [line.name for line in asked.note.lines] == ["example.com/behind-the-sofa"] * 2
    assert pack_request(asked.old, asked.proof, asked.note.encode()) == EXAMPLE


def test_the_example_of_an_answer_is_read():
    (line,) = parse_answer(LINE.encode())

    assert line == parse_line(LINE[:-1])
    assert len(parse_answer((LINE * 3).encode())) == 3


MALFORMED = {
    "empty": b"",
    "no size": EXAMPLE.removeprefix(b"old 20852014\n"),
    "a size with a zero before it": EXAMPLE.replace(b"old 2", b"old 02"),
    "a size with two spaces": EXAMPLE.replace(b"old 2", b"old  2"),
    "a larger old size": EXAMPLE.replace(b"old 20852014", b"old 20852164"),
    "a carriage return": EXAMPLE.replace(b"20852014\n", b"20852014\r\n"),
    "a short hash": EXAMPLE.replace(b"PlRN", b""),
    "no signature": EXAMPLE.partition("— ".encode())[0],
    "other characters": EXAMPLE.replace(b"old 2", "old\u00a02".encode()),
    "too long": EXAMPLE + b"x" * MAX_REQUEST,
}
MALFORMED["too many hashes"] = EXAMPLE.replace(
    b"old 20852014\n", b"old 20852014\n" + (b"A" * 43 + b"=\n") * 60
)


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_refused(data):
    with pytest.raises(LedgerDamaged):
        parse_request(data)


@pytest.mark.parametrize(
    "body", [b"", b"\n", LINE.encode()[:-1], b"\xff\n", b"20852014\n", (LINE * 65).encode()]
)
def test_another_answer_is_refused(body):
    with pytest.raises(LedgerDamaged):
        parse_answer(body)


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_raises_nothing_else(data):
    whole = SmallLog(count=3).request(2)
    for request in (data, whole[: len(whole) - len(data)] + data):
        try:
            parse_request(request)
        except LedgerDamaged:
            continue
