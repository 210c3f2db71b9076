"""The tamper matrix: every row of the table of attacks, on what the shipped gateway recorded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings

from recgate.ids import new_session_id, session_bytes, session_text
from recgate.recording.directory import day_of
from recgate.recording.seal import End
from recgate.recording.segment import read_segment
from tests.peers.postgres import Cluster, debian_bin
from tests.peers.sshd import Sshd
from tests.tamperhouse import KINDS, LONG, PROTOCOLS, TamperHouse, Tree
from tests.tamperkit import Attacker
from tests.tampermutations import Mutation, mutated, mutations, void
from tests.tamperscene import Scene, Seen, judge

YEAR: Final = 365 * 24 * 3600 * 10**9  # ns


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TamperHouse]:
    place = tmp_path_factory.mktemp("houses")
    (place / "sshd").mkdir()
    with (
        Cluster(debian_bin(), tls=False) as cluster,
        Sshd(place / "sshd") as sshd,
        ThreadPoolExecutor() as pool,
    ):

        def made(kind: str) -> TamperHouse:
            house = TamperHouse(place / kind, cluster, sshd, kind)
            house.record()
            return house

        return dict(zip(KINDS, pool.map(made, KINDS), strict=True))


Attack = Callable[[Scene], Seen]
ROWS: dict[str, Attack] = {}


def row(attack: Attack) -> Attack:
    ROWS[attack.__name__] = attack
    return attack


# -- flip, edit, insert, delete, reorder in a segment ------------------------------------------------------------


@row
def flip(scene: Scene) -> Seen:
    data = bytearray(scene.path(2).read_bytes())
    data[len(data) // 3] ^= 4
    where = scene.place(2)
    scene.attacker.put(scene.path(2), bytes(data))
    return Seen("altered", [f"{where}: its content is not what was sealed"])


@row
def flip_in_a_seal(scene: Scene) -> Seen:
    data = bytearray(scene.path(1).read_bytes())
    data[-1] ^= 1
    where = scene.place(1)
    scene.attacker.put(scene.path(1), bytes(data))
    return Seen("altered", [f"{where}: is not signed by the key that the item before it names"])


@row
def flip_in_the_header(scene: Scene) -> Seen:
    path = scene.tree.place(scene.session) / "header.cbor"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    scene.attacker.put(path, bytes(data))
    return Seen("altered", ["header.cbor: its signature does not fit its content"])


def blocks_of(scene: Scene, number: int) -> list[bytes]:
    blocks = [bytes(block) for block in scene.segment(number).blocks]
    assert len(blocks) > 2
    return blocks


@row
def edit(scene: Scene) -> Seen:
    blocks, other = blocks_of(scene, 1), bytes(scene.segment(2).blocks[0])
    scene.replace_blocks(1, [blocks[0], other, *blocks[2:]])
    return Seen("altered", [f"{scene.place(1)}: its content is not what was sealed"])


@row
def insert(scene: Scene) -> Seen:
    blocks = blocks_of(scene, 1)
    scene.replace_blocks(1, [*blocks[:2], blocks[1], *blocks[2:]])
    return Seen("altered", [f"{scene.place(1)}: its content is not what was sealed"])


@row
def delete(scene: Scene) -> Seen:
    blocks = blocks_of(scene, 1)
    scene.replace_blocks(1, [*blocks[:1], *blocks[2:]])
    return Seen("altered", [f"{scene.place(1)}: its content is not what was sealed"])


@row
def reorder(scene: Scene) -> Seen:
    blocks = blocks_of(scene, 1)
    scene.replace_blocks(1, [blocks[1], blocks[0], *blocks[2:]])
    return Seen("altered", [f"{scene.place(1)}: its content is not what was sealed"])


# -- swap segments, channels, sessions ---------------------------------------------------------------------------


@row
def swap_segments(scene: Scene) -> Seen:
    one, two = scene.path(1), scene.path(2)
    places = scene.place(2).replace("000002", "000001"), scene.place(1).replace("000001", "000002")
    first, second = one.read_bytes(), two.read_bytes()
    scene.attacker.put(one, second)
    scene.attacker.put(two, first)
    return Seen("altered", [f"{places[0]}: was sealed as segment 2", f"{places[1]}: was sealed as segment 1"])


@row
def swap_channels(scene: Scene) -> Seen:
    """Signed with the gateway's identity key: the seals' own keys are forgotten."""
    frames = [
        [replace(frame, channel=frame.channel + 1) if frame.side == 1 else frame for frame in segment]
        for segment in scene.frames
    ]
    scene.attacker.remake(scene.session, frames, like=scene.like)
    return Seen("altered", [f"{scene.place(1)}: is not what the ledger logged"])


@row
def swap_sessions(scene: Scene) -> Seen:
    one, two = scene.tree.place(scene.session), scene.tree.place(scene.other)
    draft = scene.tree.root / "draft"
    one.rename(draft)
    two.rename(one)
    draft.rename(two)
    return Seen("altered", ["header.cbor: is of another session"], also={scene.other: "altered"})


@row
def swap_one_segment_with_another_session(scene: Scene) -> Seen:
    theirs = scene.tree.segment(scene.other, 2)
    scene.attacker.put(scene.path(2), theirs.read_bytes())
    return Seen("altered", [f"{scene.place(2)}: is of another session"])


# -- truncate after close, drop the tail, drop a session ---------------------------------------------------------


@row
def cut_the_end_off(scene: Scene) -> Seen:
    last = sorted(scene.tree.place(scene.session).glob("*.seg"))[-1]
    first = read_segment(last.read_bytes()).seal.first
    scene.attacker.put(last, last.read_bytes()[:-40])
    return Seen(
        "altered",
        [
            f"{last.name} (from frame {first}): the segment ends inside an item",
            "the end: missing: the ledger has it",
        ],
    )


@row
def drop_the_tail(scene: Scene) -> Seen:
    paths = sorted(scene.tree.place(scene.session).glob("*.seg"))
    place = scene.place(len(paths))
    first, _, last = place.partition(" (frames ")[2].rstrip(")").partition(" to ")
    paths[-1].unlink()
    return Seen(
        "incomplete",
        [
            f"the end: there is none: whatever came behind frame {int(first) - 1} is missing",
            f"{paths[-1].name}: missing: the ledger has it (entry * frames {first} to {last})",
            "the end: missing: the ledger has it",
        ],
    )


@row
def drop_what_is_not_the_end(scene: Scene) -> Seen:
    scene.path(1).unlink()
    return Seen("altered", ["000001.seg: missing, though later segments are there"])


@row
def drop_a_session(scene: Scene) -> Seen:
    shutil.rmtree(scene.tree.place(scene.session))
    return Seen("missing", [f"{scene.session}: the ledger opened it at * nothing of it is in the store"])


@row
def drop_the_header(scene: Scene) -> Seen:
    (scene.tree.place(scene.session) / "header.cbor").unlink()
    return Seen("altered", ["header.cbor: missing"])


# -- sign again with keys that were stolen later -----------------------------------------------------------------


@row
def sign_again_with_stolen_keys(scene: Scene) -> Seen:
    scene.attacker.remake(scene.session, scene.edited(), like=scene.like)
    return Seen(
        "altered",
        [f"{scene.place(1)}: is not what the ledger logged", "*2.seg*: is not what the ledger logged"],
    )


@row
def sign_again_without_a_ledger_to_compare(scene: Scene) -> Seen:
    """The trust file names a ledger; an administrator who takes it away says so with it."""
    scene.attacker.remake(scene.session, scene.edited(), like=scene.like)
    shutil.rmtree(scene.tree.ledger)
    return Seen(
        "complete", words=["--require", "logged"], also=dict.fromkeys(scene.house.sessions.values(), "*")
    )


@row
def end_it_with_a_recovery_that_never_was(scene: Scene) -> Seen:
    frames = scene.frames[1][:-1]
    first = scene.segment(2).seal.first
    frames = [replace(frame, seq=first + place) for place, frame in enumerate(frames)]
    scene.attacker.recover_from(scene.session, 2, frames)
    return Seen("altered", [f"{scene.place(2)}: is not what the ledger logged"])


@row
def sign_a_new_recording_with_stolen_keys(scene: Scene) -> Seen:
    made = forged(scene, time.time_ns())
    return Seen("complete", also={made: "unknown"})


@row
def sign_a_new_recording_with_other_keys(scene: Scene) -> Seen:
    attacker = scene.attacker
    attacker.keys.identity = Ed25519PrivateKey.generate()
    made = forged(scene, time.time_ns(), attacker)
    return Seen("complete", also={made: "untrusted"})


def forged(scene: Scene, wall: int, attacker: Attacker | None = None) -> str:
    """Make a recording that never happened, of frames that did, and begin it at `wall`."""
    attacker = attacker or scene.attacker
    # An id begins with its milliseconds (RFC 9562 §5.7), and says nothing of another time than the header.
    session = session_text((wall // 10**6).to_bytes(6, "big") + session_bytes(new_session_id())[6:])
    place = scene.tree.recordings / day_of(session) / session
    shutil.copytree(scene.tree.place(scene.session), place)
    header = replace(attacker.header(scene.session), session=session_bytes(session), wall=wall)
    attacker.remake(session, scene.frames, header=header, like=scene.like)
    return session


# -- the administrator rewrites store and ledger -----------------------------------------------------------------


@row
def rewrite_store_and_ledger(scene: Scene) -> Seen:
    attacker = scene.attacker
    attacker.remake(scene.session, scene.edited(), like=scene.like)
    attacker.rewrite(attacker.relogged(scene.session), keep=["cosigned"])
    return Seen("*", ledger=["elsewhere.example/w: * has seen other entries than are here among the first"])


@row
def rewrite_what_the_witness_said_as_well(scene: Scene) -> Seen:
    attacker = scene.attacker
    attacker.remake(scene.session, scene.edited(), like=scene.like)
    attacker.rewrite(attacker.relogged(scene.session))
    return Seen("*", ledger=["cosigned: no trusted witness vouches for any of it"])


@row
def rewrite_all_and_be_held_against_what_the_witness_has(scene: Scene) -> Seen:
    attacker = scene.attacker
    attacker.remake(scene.session, scene.edited(), like=scene.like)
    attacker.rewrite(attacker.relogged(scene.session))
    kept = str(scene.house.kept)
    return Seen("*", ledger=[f"{kept}: signs other entries before"], words=["--checkpoint", kept])


@row
def drop_a_session_from_the_ledger_too(scene: Scene) -> Seen:
    attacker, raw = scene.attacker, session_bytes(scene.session)
    shutil.rmtree(scene.tree.place(scene.session))
    attacker.rewrite(lambda entry, old: None if entry.session == raw else old, keep=["cosigned"])
    return Seen("gone", ledger=["elsewhere.example/w: * has seen * entries, and here are fewer"])


@row
def take_the_ledger_back_to_before_it(scene: Scene) -> Seen:
    attacker, raw = scene.attacker, session_bytes(scene.session)
    shutil.rmtree(scene.tree.place(scene.session))
    attacker.rewrite(lambda entry, old: None if entry.session == raw else old)
    kept = str(scene.house.kept)
    return Seen("gone", ledger=[f"{kept}: signs * entries, and the ledger has"], words=["--checkpoint", kept])


# -- back-date ---------------------------------------------------------------------------------------------------


@row
def back_date_with_the_leaves(scene: Scene) -> Seen:
    wall = time.time_ns() - YEAR // 52
    made = forged(scene, wall)
    scene.attacker.append(*scene.attacker.leaves(made, wall))
    return Seen("complete", also={made: "unknown"})


@row
def back_date_and_log_it_today(scene: Scene) -> Seen:
    made = forged(scene, time.time_ns() - YEAR // 52)
    scene.attacker.append(*scene.attacker.leaves(made, time.time_ns()))
    return Seen("complete", also={made: "unknown"})


@row
def give_it_another_date(scene: Scene) -> Seen:
    attacker = scene.attacker
    header = attacker.header(scene.session)
    attacker.remake(
        scene.session, scene.frames, header=replace(header, wall=header.wall - YEAR // 52), like=scene.like
    )
    return Seen("altered", [f"{scene.place(1)}: is not what the ledger logged"])


# -- what was never recorded -------------------------------------------------------------------------------------


@row
def send_more_than_is_recorded(scene: Scene) -> Seen:
    """A gateway that forwarded what it did not record says so itself, whatever else agrees."""
    attacker, like = scene.attacker, list(scene.like)
    last = like[-1].seal
    assert last.end is not None
    counters = {**last.end.counters, "wire": {"upstream": {"frames": 1, "bytes": 10**9}}}
    like[-1] = replace(like[-1], seal=replace(last, end=End(last.end.reason, counters)))
    attacker.remake(scene.session, scene.frames, like=like)
    attacker.rewrite(attacker.relogged(scene.session))
    missing = "the end: * bytes of upstream went over the wire and are not recorded"
    return Seen("incomplete", [missing], ledger=["cosigned: no trusted witness"])


# ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[f"{kind}-{protocol}" for kind in KINDS for protocol in PROTOCOLS])
def scene(request: pytest.FixtureRequest, houses: dict[str, TamperHouse], tmp_path: Path) -> Scene:
    kind, _, protocol = request.param.partition("-")
    return made_scene(houses, tmp_path, kind, protocol)


def made_scene(houses: dict[str, TamperHouse], tmp_path: Path, kind: str, protocol: str) -> Scene:
    plain = houses["plain"]
    source = Attacker(plain, plain.copy(tmp_path / "source"))
    like = source.segments(plain.sessions[protocol])
    house = houses[kind]
    return Scene(house, house.copy(tmp_path / "copy"), house.sessions[protocol], like)


@pytest.mark.parametrize("name", ROWS)
def test_every_attack_is_seen_and_its_place_named(scene: Scene, name: str) -> None:
    seen = ROWS[name](scene)
    judge(scene.tree.verify(*seen.words), scene, seen)


# -- recovered recordings ----------------------------------------------------------------------------------------


def recovered(scene: Scene) -> tuple[Scene, list[Path]]:
    """Give the recording that the gateway died over in the place of the other, and its segments."""
    session = scene.house.sessions["recovered"]
    return replace(scene, session=session), sorted(scene.tree.place(session).glob("*.seg"))


@pytest.mark.parametrize(
    "attack", ["flip", "cut", "drop the tail", "drop the middle", "recover again", "drop it"]
)
def test_attacks_on_a_recovered_recording_are_seen_too(scene: Scene, attack: str) -> None:
    scene, paths = recovered(scene)
    number = len(paths)
    place = scene.place(number)
    match attack:
        case "flip":
            data = bytearray(paths[-1].read_bytes())
            data[-1] ^= 1
            scene.attacker.put(paths[-1], bytes(data))
            seen = Seen("altered", [f"{place}: its signature by the identity key does not fit its content"])
        case "cut":
            scene.attacker.put(paths[-1], paths[-1].read_bytes()[:-1])
            seen = Seen("altered", [f"{paths[-1].name} (from frame *): the segment ends inside an item"])
        case "drop the tail":
            paths[-1].unlink()
            seen = Seen(
                "incomplete", ["the end: there is none", f"{paths[-1].name}: missing: the ledger has it"]
            )
        case "drop the middle":
            paths[1].unlink()
            seen = Seen("altered", [f"{paths[1].name}: missing, though later segments are there"])
        case "recover again":
            frames = list(scene.like[0].frames())[:5]
            first = scene.segment(number).seal.first
            again = [replace(frame, seq=first + place) for place, frame in enumerate(frames)]
            scene.attacker.recover_from(scene.session, number, again)
            seen = Seen("altered", [f"{scene.place(number)}: is not what the ledger logged"])
        case _:
            shutil.rmtree(scene.tree.place(scene.session))
            seen = Seen(
                "missing", [f"{scene.session}: the ledger opened it at * nothing of it is in the store"]
            )
    judge(scene.tree.verify(), scene, seen)


# -- and what nobody touched -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_touched_holds_at_every_level(
    houses: dict[str, TamperHouse], tmp_path: Path, kind: str
) -> None:
    house = houses[kind]
    tree = house.copy(tmp_path / "copy")
    kept = ["--checkpoint", str(house.kept), "--identity", str(house.identity)]
    levels = [
        word
        for level in ("file", "logged", "complete", "witnessed", "contents")
        for word in ("--require", level)
    ]
    for verdict in (tree.verify(*kept, *levels), tree.shipped(*kept, *levels)):
        assert verdict.exit == 0, verdict
        assert {name: verdict.status(session) for name, session in house.sessions.items()} == {
            "postgres": "complete", "ssh": "complete", "recovered": "recovered",
        }  # fmt: skip
        assert "ledger" not in verdict.reports


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["flip", "drop_a_session", "rewrite_all_and_be_held_against_what_the_witness_has"]
)
def test_the_command_says_the_same_in_a_process_of_its_own(
    houses: dict[str, TamperHouse], tmp_path: Path, kind: str, name: str
) -> None:
    scene = made_scene(houses, tmp_path, kind, "postgres")
    seen = ROWS[name](scene)
    judge(scene.tree.shipped(*seen.words), scene, seen)


def test_whatever_a_client_received_is_in_the_counters(
    houses: dict[str, TamperHouse], tmp_path: Path
) -> None:
    for kind, house in houses.items():
        attacker = Attacker(house, house.copy(tmp_path / kind))
        for protocol in PROTOCOLS:
            segments = attacker.segments(house.sessions[protocol])
            assert sum(segment.seal.sides[1][1] for segment in segments) >= LONG
            end = segments[-1].seal.end
            assert end is not None
            wire, recorded = (cast("dict[str, object]", end.counters[name]) for name in ("wire", "recorded"))
            assert [wire[side] for side in ("client", "upstream")] == [
                recorded[side] for side in ("client", "upstream")
            ]


# -- any single mutation of any stored file ----------------------------------------------------------------------


def hold_up(tree: Tree, mutation: Mutation) -> None:
    why = void(tree, mutation)
    with mutated(tree, mutation) as changed:
        verdict = tree.verify("--no-contents")
    assert verdict.exit in (0, 1)
    if verdict.exit == 0:
        assert why or not changed, mutation
    else:
        assert any(report["problems"] or report["status"] == "missing" for report in verdict.reports.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "count", [pytest.param(150, id="some"), pytest.param(5000, id="many", marks=pytest.mark.soak)]
)
def test_any_single_mutation_of_any_file_is_reported(
    houses: dict[str, TamperHouse], tmp_path: Path, kind: str, count: int
) -> None:
    tree = houses[kind].copy(tmp_path / "copy")

    @settings(max_examples=count, database=None)
    @given(mutations(tree))
    def check(mutation: Mutation) -> None:
        hold_up(tree, mutation)

    check()
    assert tree.verify().exit == 0  # all of it was put back
