"""What recorded sessions mean: real ones, whole and through saved states, and damaged ones."""

from pathlib import Path

import cbor2
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from plugins.ssh.tests.gate import Gate
from plugins.ssh.tests.reading import entries, recorded
from recgate.recording.frames import RecordedFrame
from recgate.sansio.frames import CLIENT, UPSTREAM
from recgate.testing.fakes import Recorded
from recgate.transcript.entries import Entry
from recgate_ssh.frames import Kind
from recgate_ssh.programs import MAX_UNSHOWN
from recgate_ssh.transcript import MAX_STATE, SshTranscriber


def shown(found: list[Entry], kind: str) -> list[dict[str, object]]:
    return [dict(entry.body) for entry in found if entry.kind == kind]


def word(side: int, kind: str, channel: int = 1, **body: object) -> Recorded:
    return Recorded(side, kind, cbor2.dumps(body), channel)


def terminal(*steps: tuple[int, str]) -> list[Recorded]:
    return [
        word(CLIENT, "open", type="session"),
        word(CLIENT, "request", type="pty-req", term="xterm", cols=80, rows=24, width=0, height=0, modes=b""),
        word(CLIENT, "request", type="shell"),
        *(Recorded(side, "data", text.encode(), 1) for side, text in steps),
        word(UPSTREAM, "exit", type="exit-status", status=0),
        Recorded(UPSTREAM, "close", b"", 1),
        Recorded(CLIENT, "close", b"", 1),
    ]


async def test_a_command_is_told_with_its_exit(gate: Gate):
    await gate.ssh("echo out; echo err >&2; exit 3", stdin=b"in")

    found = entries((await gate.sealed()).frames)
    (shell,) = shown(found, "shell")
    assert (shell["command"], shell["exit"], shell["type"]) == ("echo out; echo err >&2; exit 3", 3, "exec")
    assert {"text": "out\n", "stream": "stdout"} in shown(found, "screen")
    assert {"text": "err\n", "stream": "stderr"} in shown(found, "screen")
    assert shown(found, "key") == [{"text": "in", "stream": "stdin"}]
    (entry,) = [entry for entry in found if entry.kind == "shell"]
    assert (entry.text, entry.terms) == ("echo out; echo err >&2; exit 3", (("verb", "echo"),))


async def test_a_real_shell_gives_commands_keys_screens_and_sizes(gate: Gate):
    async with gate.client(gate.line("-tt")) as process:
        # Behind the prompt: what a login says may come between what was typed ahead of it.
        await gate.until(lambda: bool(gate.doors) and gate.doors[-1].data(1).endswith((b"$ ", b"# ")))
        assert process.stdin is not None
        await process.stdin.send_all(b"echo typed-$((40+2))\rexit 4\r")
        with trio.fail_after(30):
            await process.wait()

    frames = (await gate.sealed()).frames
    found = entries(frames)
    commands = [body["command"] for body in shown(found, "shell") if body.get("typed")]
    assert commands == ["echo typed-$((40+2))", "exit 4"]
    assert shown(found, "shell")[-1]["exit"] == 4
    text = "".join(str(body["text"]) for body in shown(found, "screen"))
    assert text.encode() == b"".join(
        frame.data for frame in frames if frame.kind == "data" and frame.side == 1
    )
    assert shown(found, "resize")


def test_what_bash_writes_before_a_commands_output_is_no_empty_line():
    found = entries(
        terminal(
            (UPSTREAM, "$ "),
            (CLIENT, "ls\r"),
            (UPSTREAM, "ls\r\n"),
            (UPSTREAM, "\x1b[?2004l\r"),
            (UPSTREAM, "a  b\r\n"),
        )
    )
    assert "".join(entry.text for entry in found if entry.kind == "screen") == "$ ls\na  b\n"


async def test_saved_and_restored_after_every_frame_it_says_the_same(gate: Gate, tmp_path: Path):
    await gate.ssh(options=("-tt",), stdin=b"echo one\recho two\rexit\r")
    frames = (await gate.sealed()).frames

    assert entries(frames, restored=True) == entries(frames)


def test_a_password_is_withheld_from_keys_and_from_search():
    found = entries(
        terminal(
            (1, "$ "),
            (0, "su\r"),
            (1, "su\r\nPassword: "),
            (0, "hunter2\r"),
            (1, "\r\n# "),
        )
    )

    assert shown(found, "key") == [{"text": "su\r"}, {"text": "•••", "hidden": True}]
    assert "hunter2" not in repr(found)


def test_search_sees_what_stood_on_the_screen_without_its_escapes():
    found = entries(terminal((1, "\x1b[1mbold\x1b[0m\x07 text\r\n")))

    (screen,) = [entry for entry in found if entry.kind == "screen"]
    assert screen.text == "bold text\n"


def test_a_character_cut_in_two_is_whole_on_the_screen():
    euro = "€".encode()
    frames = terminal()
    frames[3:3] = [Recorded(1, "data", euro[:1], 1), Recorded(1, "data", euro[1:], 1)]

    assert "".join(str(body["text"]) for body in shown(entries(frames, restored=True), "screen")) == "€"


def test_output_that_is_no_text_is_counted_and_not_shown():
    frames = [
        word(CLIENT, "open", type="session"),
        word(CLIENT, "request", type="exec", command="cat image"),
        Recorded(UPSTREAM, "data", b"\0" * 1000, 1),
        Recorded(UPSTREAM, "data", b"text after it", 1),
    ]
    found = entries(frames)

    assert shown(found, "screen") == []
    (shell,) = shown(found, "shell")
    assert (shell["bytes_upstream"], shell["exit"]) == (1013, None)


def test_much_text_without_a_terminal_is_shown_up_to_a_limit():
    frames = [
        word(CLIENT, "open", type="session"),
        word(CLIENT, "request", type="exec", command="cat log"),
        *(Recorded(UPSTREAM, "data", b"x" * 100_000, 1) for _ in range(20)),
    ]

    total = sum(len(str(body["text"])) for body in shown(entries(frames), "screen"))
    assert total <= MAX_UNSHOWN


def test_a_command_that_only_begins_like_a_copy_is_shown_as_what_it_is():
    frames = [
        word(CLIENT, "open", type="session"),
        word(CLIENT, "request", type="exec", command="scp -t /tmp/x; bash"),
        Recorded(CLIENT, "data", b"id; cat /etc/shadow\n", 1),
        Recorded(UPSTREAM, "data", b"uid=0(root)\n", 1),
    ]
    found = entries(frames)

    assert shown(found, "file") == []
    assert shown(found, "screen") == [{"text": "uid=0(root)\n", "stream": "stdout"}]


def test_a_name_made_to_deceive_is_kept_as_data():
    """Threat 24: a path with `../`, a newline or a right-to-left mark is one entry's text and nothing else."""
    name = "../a\nC0644 5 b\u202etxt"
    frames = [
        word(CLIENT, "open", type="session"),
        word(CLIENT, "request", type="exec", command=f"scp -t '{name}'"),
        Recorded(CLIENT, "data", b"C0644 2 x\nhi\0", 1),
    ]

    (file,) = shown(entries(frames), "file")
    assert (file["path"], file["size"]) == (name, 2)


def test_channels_are_followed_side_by_side():
    frames: list[Recorded] = []
    for channel in (1, 2):
        frames += [
            word(CLIENT, "open", channel, type="session"),
            word(CLIENT, "request", channel, type="exec", command=f"cmd{channel}"),
        ]
    for channel in (2, 1):
        frames += [
            word(UPSTREAM, "exit", channel, type="exit-signal", signal="KILL", core=False),
            Recorded(UPSTREAM, "close", b"", channel),
            Recorded(CLIENT, "close", b"", channel),
        ]
    found = entries(frames)

    assert [(body["command"], body["exit"]) for body in shown(found, "shell")] == [
        ("cmd2", "signal KILL"),
        ("cmd1", "signal KILL"),
    ]


def test_the_state_stays_small_however_many_channels_are_open():
    transcriber = SshTranscriber()
    frames: list[Recorded] = []
    for channel in range(1, 400):
        frames += [
            word(CLIENT, "open", channel, type="session"),
            word(CLIENT, "request", channel, type="pty-req", term="x", cols=80, rows=24),
            word(CLIENT, "request", channel, type="exec", command="c" * 5000),
            Recorded(UPSTREAM, "data", b"x" * 5000, channel),
        ]
    for frame in recorded(frames):
        transcriber.feed(frame)

    state = transcriber.save()
    assert len(state) <= MAX_STATE
    assert SshTranscriber(state).save() == state


@pytest.mark.parametrize("kind", list(Kind))
def test_a_frame_out_of_place_says_nothing(kind: Kind):
    assert entries([Recorded(1, kind.value, b"\xff\xff", 7)]) == []


@given(
    st.lists(
        st.builds(
            RecordedFrame,
            st.integers(0, 99),
            st.integers(0, 99),
            st.integers(0, 2),
            st.integers(0, 2),
            st.sampled_from([kind.value for kind in Kind]),
            st.one_of(
                st.binary(max_size=30),
                st.dictionaries(
                    st.sampled_from(
                        ["type", "command", "name", "cols", "rows", "host", "port", "status", "ok"]
                    ),
                    st.one_of(
                        st.sampled_from(
                            ["session", "exec", "pty-req", "subsystem", "sftp", "direct-tcpip", "scp -t x"]
                        ),
                        st.integers(0, 99),
                        st.booleans(),
                        st.binary(max_size=4),
                    ),
                ).map(cbor2.dumps),
            ),
        ),
        max_size=20,
    )
)
def test_a_damaged_recording_is_read_as_far_as_it_makes_sense(frames: list[RecordedFrame]):
    transcriber = SshTranscriber()
    for frame in frames:
        list(transcriber.feed(frame))
        transcriber = SshTranscriber(transcriber.save())
    list(transcriber.finish())
