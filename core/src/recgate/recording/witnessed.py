"""The level `witnessed` of `verify`: up to which entry, and as of when, others vouch for the ledger that logged it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from recgate.ledger.note import parse_note
from recgate.recording.ledgered import LedgerIndex, moment
from recgate.recording.report import Answer, Report
from recgate.recording.trust import Trust
from recgate.witness.timestamps import stamped
from recgate.witness.vouching import Vouched, kept, vouched

__all__ = ["Vouching"]


class Vouching:
    """What trusted witnesses said of a ledger, and whether it is still what they saw.

    `visit` gets every entry as the ledger is read; `conclude` is called behind that, and adds what is wrong to its
    findings.
    """

    def __init__(self, directory: Path, trust: Trust) -> None:
        self._directory = directory
        self._trust = trust
        self._frontier = Frontier()
        self._wanted = self._sizes()
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self.said: list[Vouched] = []

    def _sizes(self) -> set[int]:
        sizes = set(stamped(self._directory)[-1:])
        try:
            for _, data in kept(self._directory):
                try:
                    sizes.add(parse_checkpoint(parse_note(data).text).size)
                except LedgerDamaged:
                    continue  # `vouched` says so
        except (LedgerDamaged, OSError):
            return sizes
        return sizes

    def visit(self, index: int, entry: bytes) -> None:
        """Take the next entry."""
        self._frontier.add(leaf_hash(entry))
        if index + 1 in self._wanted:
            self._roots[index + 1] = self._frontier.root()

    def conclude(self, index: LedgerIndex) -> None:
        """Compare what was said with what is here."""
        trust = self._trust
        # Cosignatures of an older key's heads are looked at like today's: the keys are all of one ledger.
        try:
            self.said = vouched(
                self._directory, trust.ledgers, trust.witnesses, self._roots.get, trust.authorities
            )
        except (LedgerDamaged, OSError) as error:
            index.reading.found("cosigned", f"cannot be read: {error}")
        for each in self.said:
            if each.problem:
                index.reading.found(each.witness, each.problem)

    def judge(self, report: Report, index: LedgerIndex) -> None:
        """Set the level of one recording: somebody vouches for its last leaf, or nobody can say, or it failed."""
        if any(each.problem for each in self.said):
            report.levels["witnessed"] = Answer.FAILED
            return
        leaves = index.of(report.session)
        last = leaves.closed or leaves.gone or leaves.aborted if leaves is not None else None
        if last is not None and any(each.size > last[0] for each in self.said):
            report.levels["witnessed"] = Answer.OK

    def lines(self) -> Iterator[str]:
        """Say who vouches for what, a line each."""
        for each in self.said:
            if not each.problem:
                yield f"{each.witness} vouches for the first {each.size} entries, as of {moment(each.time * 10**9)}"
        heard = {each.witness for each in self.said}
        for key in self._trust.witnesses:
            if key.name not in heard:
                yield f"{key.name} is trusted as a witness, and vouches for nothing here"
