"""The log's side of the protocol, against a witness that answers whatever a test says."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from core.tests.logs_and_witnesses import SmallLog
from recgate.errors import ConfigurationError
from recgate.ledger.cosignature import cosign, witness_key
from recgate.ledger.note import parse_note
from recgate.ledger.proof import consistency_proof
from recgate.witness.asking import Heard, HttpJudge, Refused, Silent, ask
from recgate.witness.request import SIZE_TYPE, parse_request

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
W = witness_key("w", KEY)
LOG = SmallLog(count=6)
NOTE = parse_note(LOG.checkpoint())
YES = Heard(200, cosign(NOTE.text, "w", KEY, 1000).text.encode(), "text/plain")


class Scripted:
    """Answers in order, and keeps the sizes that it was asked from."""

    def __init__(self, *answers):
        self._answers = iter(answers)
        self.asked = []

    async def answer(self, request):
        self.asked.append(parse_request(request).old)
        return next(self._answers)


async def asked(judge, known=0):
    async def prove(old, size):
        return consistency_proof(LOG.subtree, old, size)

    return await ask(judge, W, NOTE, known, prove)


async def test_it_begins_where_the_witness_was_and_goes_where_the_witness_says():
    judge = Scripted(Heard(409, b"4\n", SIZE_TYPE), YES)

    assert (await asked(judge, 2)).time == 1000
    assert judge.asked == [2, 4]


@pytest.mark.parametrize(
    ("answer", "conflict"),
    [
        (Heard(409, b"7\n", SIZE_TYPE), True),
        (Heard(409, b"other root\n", "text/plain"), True),
        (Heard(422, b"", ""), True),
        (Heard(404, b"", ""), False),
        (Heard(403, b"", ""), False),
    ],
)
async def test_a_no_is_a_no(answer, conflict):
    with pytest.raises(Refused) as caught:
        await asked(Scripted(answer))

    assert caught.value.conflict is conflict


@pytest.mark.parametrize(
    "answer",
    [
        Heard(500, b"", ""),
        Heard(301, b"", ""),
        Heard(400, b"", ""),
        Heard(200, b"", ""),
        Heard(200, b"\xff\n", ""),
        Heard(200, cosign(NOTE.text, "w", Ed25519PrivateKey.generate(), 1000).text.encode(), ""),
        Heard(200, cosign(NOTE.text + "x\n", "w", KEY, 1000).text.encode(), ""),
        Heard(409, b"\n", SIZE_TYPE),
        Heard(409, b"-1\n", SIZE_TYPE),
        Heard(409, b"0\n", SIZE_TYPE),
    ],
)
async def test_what_says_nothing_of_our_head_is_silence(answer):
    with pytest.raises(Silent):
        await asked(Scripted(answer))


async def test_a_witness_that_always_says_something_else_is_not_asked_for_ever():
    judge = Scripted(*(Heard(409, b"%d\n" % (number % 5 + 1), SIZE_TYPE) for number in range(100)))

    with pytest.raises(Silent, match="another size each time"):
        await asked(judge)
    assert len(judge.asked) < 6


def test_authorities_that_cannot_be_read_are_said_so(tmp_path):
    with pytest.raises(ConfigurationError, match="authorities"):
        HttpJudge("https://witness.example", tmp_path / "none.pem")
