"""Proofs of the ledger as files that others read too."""

from __future__ import annotations

import pytest

from core.tests.logs_and_witnesses import SmallLog
from recgate.errors import LedgerDamaged
from recgate.ledger.logproof import LogProof, parse_log_proof
from recgate.ledger.proof import inclusion_proof


def proof_of(log: SmallLog, index: int) -> LogProof:
    path = inclusion_proof(log.subtree, index, len(log.entries))
    return LogProof(index, tuple(path), log.checkpoint())


def test_it_has_the_form_of_the_specification_and_comes_back():
    proof = proof_of(SmallLog(count=7), 3)
    lines = proof.encode().decode().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 3"]
    assert lines[5:8] == ["", "recgate/gate-1/0123456789abcdef", "7"]
    assert parse_log_proof(proof.encode()) == proof


def test_it_proves_its_entry_and_no_other():
    log = SmallLog(count=7)
    for index in range(7):
        proof = parse_log_proof(proof_of(log, index).encode())
        assert [proof.proves(entry) for entry in log.entries] == [n == index for n in range(7)]
    assert parse_log_proof(proof_of(SmallLog(count=1), 0).encode()).proves(b"entry 0")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b"@v1", b"@v2"),
        lambda data: data.replace(b"index 3", b"index 03"),
        lambda data: data.replace(b"index 3", b"index -3"),
        lambda data: data.replace(b"\nindex", b"\nextra AA==\nindex"),
        lambda data: data.replace(b"=\n\n", b"=\n"),
        lambda data: data.replace(b"=\n", b"!\n", 1),
        lambda data: b"\xff" + data,
        lambda data: data.replace(b"index 3\n", b"index 3\n" + (b"A" * 43 + b"=\n") * 64),
        lambda data: data + b"\n" * (1 << 20),
        lambda data: b"",
    ],
)
def test_another_form_is_refused(change):
    data = change(proof_of(SmallLog(count=7), 3).encode())
    with pytest.raises(LedgerDamaged):
        parse_log_proof(data).head()
