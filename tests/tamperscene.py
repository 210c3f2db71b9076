"""One recording under attack, and what `verify` must say of it and of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from recgate.recording.frames import encode_uint
from recgate.recording.segment import Segment, read_segment
from tests.tamperhouse import TamperHouse, Tree, Verdict
from tests.tamperkit import Attacker, Frames

__all__ = ["Scene", "Seen", "judge"]


@dataclass
class Scene:
    """A recording to be attacked, `session`, among the others of its gateway."""

    house: TamperHouse
    tree: Tree
    session: str
    like: list[Segment]  # a recording in clear of that protocol

    @property
    def attacker(self) -> Attacker:
        return Attacker(self.house, self.tree)

    @property
    def frames(self) -> Frames:
        return [list(segment.frames()) for segment in self.like]

    @property
    def other(self) -> str:
        return next(each for each in self.house.sessions.values() if each != self.session)

    def path(self, number: int) -> Path:
        return self.tree.segment(self.session, number)

    def segment(self, number: int) -> Segment:
        return read_segment(self.path(number).read_bytes())

    def replace_blocks(self, number: int, blocks: Sequence[bytes]) -> None:
        """Put other blocks into a segment, numbered as they must be, before the seal that is there."""
        data, segment = self.path(number).read_bytes(), self.segment(number)
        first = data.index(b"\x83\x02\x00")
        items = [
            b"\x83\x02" + encode_uint(index) + encode_uint(len(block), 0x40) + block
            for index, block in enumerate(blocks)
        ]
        self.attacker.put(self.path(number), data[:first] + b"".join(items) + segment.sealed)

    def place(self, number: int) -> str:
        """Name a segment as `verify` names it."""
        seal = self.segment(number).seal
        return f"{number:06d}.seg (frames {seal.first} to {seal.first + seal.count - 1})"

    def edited(self) -> Frames:
        """Give the frames with one letter changed that the target sent."""
        changed = self.frames
        number, place = next(
            (number, place)
            for number, frames in enumerate(changed)
            for place, frame in enumerate(frames)
            if frame.side == 1 and len(frame.data) > 1000
        )
        frame = changed[number][place]
        data = frame.data[:500] + b"!" + frame.data[501:]
        changed[number][place] = replace(frame, data=data)
        return changed


@dataclass(frozen=True)
class Seen:
    """What `verify` must say: the status of the recording, its problems by what they begin or end with, and more."""

    status: str
    said: Sequence[str] = ()
    ledger: Sequence[str] = ()
    also: dict[str, str] = field(default_factory=dict[str, str])  # the status of others that are touched
    exit: int = 1
    words: Sequence[str] = ()  # of the command line


def fits(wanted: str, said: str) -> bool:
    """Say whether words are there in their order, with anything where a star is."""
    rest = said
    for number, part in enumerate(wanted.split("*")):
        at = rest.find(part)
        if at < 0 or (number == 0 and at):
            return False
        rest = rest[at + len(part) :]
    return True


def judge(verdict: Verdict, scene: Scene, seen: Seen) -> None:
    assert verdict.exit == seen.exit, verdict
    assert [line for line in seen.ledger if not any(fits(line, each) for each in verdict.ledger)] == [], (
        verdict
    )
    others = {
        each: "recovered" if name == "recovered" else "complete"
        for name, each in scene.house.sessions.items()
    }
    expected = {**others, scene.session: seen.status, **seen.also}
    if seen.status == "gone":
        del expected[scene.session]
    found = {session: report["status"] for session, report in verdict.reports.items() if session != "ledger"}
    # What is not touched is not blamed, and nothing else is there.
    assert expected.keys() == found.keys()
    wrong = {
        each: (status, found[each]) for each, status in expected.items() if status not in ("*", found[each])
    }
    assert wrong == {}, verdict
    said = verdict.said(scene.session) if scene.session in verdict.reports else []
    assert [line for line in seen.said if not any(fits(line, each) for each in said)] == [], said
