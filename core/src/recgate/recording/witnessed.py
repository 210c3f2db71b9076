"""The level `witnessed` of `verify`: up to which entry, and as of when, others vouch for the ledger that logged it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import parse_checkpoint
from recgate.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from recgate.ledger.note import parse_note
from recgate.ledger.tiles import CHECKPOINT_NAME
from recgate.recording.directory import HEADER_NAME
from recgate.recording.ledgered import LEDGER, LedgerIndex, SessionLeaves, moment
from recgate.recording.report import Answer, Report, Status
from recgate.recording.trust import Trust
from recgate.witness.timestamps import stamped
from recgate.witness.vouching import COSIGNED, Vouched, kept, vouched

__all__ = ["Vouching"]

SECOND: Final = 10**9  # ns
# An opening is logged at once. It comes late when the ledger could not be written: the disk was full.
DELAY: Final = 300 * SECOND


class Vouching:
    """What trusted witnesses said of a ledger, and whether it is still what they saw.

    `held` are heads that were kept elsewhere, by the words for where they are from; what trusted witnesses said under
    them counts as what is beside the ledger does.

    `visit` gets every entry as the ledger is read; `conclude` is called behind that, and adds what is wrong to its
    findings.
    """

    def __init__(self, directory: Path, trust: Trust, held: Sequence[tuple[str, bytes]] = ()) -> None:
        self._directory = directory
        self._trust = trust
        self._held = held
        self._frontier = Frontier()
        self._wanted = self._sizes()
        self._roots: dict[int, bytes] = {0: EMPTY_ROOT}
        self.said: list[Vouched] = []

    def _sizes(self) -> set[int]:
        sizes: set[int] = set()
        try:
            sizes.update(stamped(self._directory)[-1:])
            for _, data in [*self._held, *kept(self._directory)]:
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
                self._directory,
                trust.ledgers,
                trust.witnesses,
                self._roots.get,
                trust.authorities,
                self._held,
            )
        except (LedgerDamaged, OSError) as error:
            index.reading.found("cosigned", f"cannot be read: {error}")
        for each in self.said:
            if each.problem:
                index.reading.found(each.witness, each.problem)
        if self.said and index.reading.checkpoint is None:
            index.reading.found(CHECKPOINT_NAME, "there is none, though witnesses have signed one")

    def judge(self, report: Report, index: LedgerIndex) -> None:
        """Set the level of one recording: somebody vouches for its last leaf, or nobody can say, or it failed."""
        if any(each.problem for each in self.said):
            report.levels["witnessed"] = Answer.FAILED
            return
        leaves = index.of(report.session)
        last = leaves.closed or leaves.gone or leaves.aborted if leaves is not None else None
        if leaves is not None and leaves.opened is not None and self.said:
            self._date(report, leaves, leaves.opened)
        covered = last is not None and any(each.size > last[0] for each in self.said)
        if covered and report.levels["witnessed"] is Answer.UNAVAILABLE:
            report.levels["witnessed"] = Answer.OK

    def _date(self, report: Report, leaves: SessionLeaves, opened: int) -> None:
        """Compare when a session says that it began with what was there before the ledger heard of it.

        Without witnesses the order of entries is the gateway's own word, like the time in the header.
        """
        seen = (each.time * SECOND for each in self.said if each.size <= opened)
        since = max(leaves.after, *seen, 0)
        if report.opened and report.opened + DELAY < since:
            what = (
                f"says that it was opened at {moment(report.opened)}, and the ledger had not heard of it at "
                f"{moment(since)} (entry {opened}): it was dated back, or the ledger could not be written "
                "for so long, or the gateway's clock was set back"
            )
            report.found(Status.UNKNOWN, HEADER_NAME, what, "witnessed")

    def silence(self, index: LedgerIndex) -> Report | None:
        """Report that nobody vouches for anything, though witnesses are trusted; None if somebody does."""
        if self.said or not index.reading.size or not (self._trust.witnesses or self._trust.authorities):
            return None
        report = Report(LEDGER, reason=str(self._directory))
        what = (
            "no trusted witness vouches for any of it: none has been asked yet, or what they said was taken away; "
            "get the newest head from one of them, and say --checkpoint FILE"
        )
        report.found(Status.INCOMPLETE, COSIGNED, what, "witnessed")
        return report

    def lines(self) -> Iterator[str]:
        """Say who vouches for what, a line each."""
        for each in self.said:
            if not each.problem:
                yield f"{each.witness} vouches for the first {each.size} entries, as of {moment(each.time * SECOND)}"
        heard = {each.witness for each in self.said}
        for key in self._trust.witnesses:
            if key.name not in heard:
                yield f"{key.name} is trusted as a witness, and vouches for nothing here"
