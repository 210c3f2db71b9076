"""Hold a segment's frames against its seal: numbers, times, counts, and the root over their commitments."""

from __future__ import annotations

from recgate.errors import RecordingDamaged, RecordingSealed
from recgate.recipients.keyring import NOBODY, Keyring
from recgate.recording.chain import CLOSED_KIND, OPENED_KIND
from recgate.recording.commitments import leaf_hash, merkle_root
from recgate.recording.frames import RecordedFrame, encode_head
from recgate.recording.report import Report, Status
from recgate.recording.seal import Header
from recgate.recording.segment import Segment

__all__ = ["ContentsCheck"]


class ContentsCheck:
    """The level `contents` of one recording; segments come in their order.

    `sealed` says why frames could not be looked at, if they could not.
    """

    def __init__(self, report: Report, keyring: Keyring = NOBODY) -> None:
        self._report = report
        self._keyring = keyring
        self.sealed = ""

    def segment(self, segment: Segment, where: str, header: Header | None, *, sound: bool) -> None:
        """Check one segment. Of one that is not `sound` the frames are looked at all the same, to name the place."""
        seal = segment.seal
        sources: dict[tuple[int, int, str], bytes] = {}
        leaves: list[bytes] = []
        sides = [[0, 0] for _ in range(3)]
        frame: RecordedFrame | None = None
        t = 0
        try:
            for frame in segment.frames(self._keyring):
                if frame.seq != seal.first + len(leaves):
                    raise RecordingDamaged(
                        f"frame {frame.seq} stands where frame {seal.first + len(leaves)} belongs"
                    )
                if frame.t < t:
                    raise RecordingDamaged(f"the time of frame {frame.seq} runs backwards")
                t = frame.t
                side = sides[frame.side]
                side[0] += 1
                side[1] += len(frame.data)
                leaves.append(leaf_hash(frame, encode_head(frame, sources)))
                if frame.seq == 0:
                    self._first(frame, leaves[0], header)
        except RecordingSealed as error:
            self.sealed = self.sealed or f"{where}: {error}"
            return
        except RecordingDamaged as error:
            self._found(
                where, f"behind frame {seal.first + len(leaves) - 1}: {error}" if leaves else str(error)
            )
            return
        if len(leaves) != seal.count or tuple(map(tuple, sides)) != seal.sides or t != seal.mono:
            self._found(where, f"holds other frames than were sealed: {len(leaves)} instead of {seal.count}")
        elif merkle_root(leaves) != seal.root:
            self._found(where, "some frame is not what was sealed: the root does not fit")
        elif sound and seal.end is not None and frame is not None and frame.kind != CLOSED_KIND:
            self._found(where, f"ends with a frame of kind {frame.kind!r}, not with the session's end")

    def _first(self, frame: RecordedFrame, leaf: bytes, header: Header | None) -> None:
        if frame.kind != OPENED_KIND:
            self._found("frame 0", "does not say who opened the session")
        elif header is not None and leaf != header.opened:
            self._found("frame 0", "is not the one that the header commits to")

    def _found(self, where: str, what: str) -> None:
        self._report.found(Status.ALTERED, where, what, "contents")
