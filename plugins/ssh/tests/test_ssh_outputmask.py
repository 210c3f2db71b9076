"""Masks over a terminal's bytes: any chunking gives the same, nothing between the characters helps, all else stays."""

import random
import time

import pytest

from plugins.ssh.tests.masks import CARD, masking, raising
from recgate.mask import Becomes
from recgate.mask.masking import MaskFailed
from recgate_ssh.outputmask import MAX_RAW, OutputMasker

SEQUENCES = [
    b"\x1b[31m", b"\x1b[0;1;38;5;200m", b"\x1b[K", b"\x1b[?25l", b"\x1b[C\x1b[D", b"\x1b[12G", b"\x1b[1;1H",
    b"\x1b[A\x1b[B",
    b"\x1b]0;title\x07", b"\x1b(B", b"\x0f", b"\0", b"\x1b7\x1b8", b" \r", b"\x1b[2J", b"\x1b[?2004h",
]  # fmt: skip


def masked(*chunks: bytes, becomes: Becomes = Becomes.REDACT, keep: int = 0) -> bytes:
    masker = OutputMasker(masking(becomes=becomes, keep=keep))
    return b"".join(masker.feed(chunk) for chunk in chunks) + masker.flush()


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_nothing_between_the_characters_helps(sequence: bytes) -> None:
    raw = b"card " + sequence.join(bytes((each,)) for each in CARD) + b" end"
    out = masked(raw)
    assert out.replace(b"*", b"").count(b"1" * 2) == 0
    assert out.count(sequence.replace(b" \r", b"\r")) >= len(CARD) - 1
    assert out.count(b"*") == len(CARD)
    assert out.startswith(b"card ")
    assert out.endswith(b" end")
    assert masked(*(bytes((each,)) for each in raw)) == out


def test_any_chunking_gives_the_same() -> None:
    rnd = random.Random(11)
    secrets = [CARD, b"alice@example.com", b"AKIAIOSFODNN7EXAMPLE"]
    for _ in range(150):
        choice = [*SEQUENCES, b"word ", b"\r\n", "grün ".encode(), b"12 34 ", rnd.choice(secrets) + b" "]
        raw = b" ".join(rnd.choice(choice) for _ in range(rnd.randrange(1, 12)))
        whole = masked(raw)
        assert masked(*(raw[n : n + 1] for n in range(len(raw)))) == whole
        cuts = sorted(rnd.sample(range(len(raw)), min(4, len(raw))))
        assert masked(*(raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True))) == whole
        assert not any(each in whole for each in secrets)


def test_what_is_not_masked_is_as_it_came() -> None:
    rnd = random.Random(4)
    for _ in range(300):
        raw = b"".join(
            rnd.choice([*SEQUENCES, b"word ", b"\r\n", b"\b", b"\x1b", b"\xc3\xbc", b"12"]) for _ in range(30)
        )
        cut = rnd.randrange(len(raw))
        assert masked(raw[:cut], raw[cut:]) == raw


def test_replacements_of_another_length_stand_at_the_begin() -> None:
    out = masked(b"a alice\x1b[31m@example.com\x1b[0m z", becomes=Becomes.HASH)
    assert out.startswith(b"a ")
    assert out.endswith(b"\x1b[31m\x1b[0m z")
    assert len(out) == len(b"a  z") + 16 + len(b"\x1b[31m\x1b[0m")


def test_titles_are_masked() -> None:
    assert masked(b"\x1b]0;alice@example.com\x07$ ") == b"\x1b]0;*****************\x07$ "
    assert (
        masked(*(bytes((each,)) for each in b"\x1b]2;to alice@example.com\x1b\\"))
        == b"\x1b]2;to *****************\x1b\\"
    )


def test_overstriking_hides_nothing() -> None:
    out = masked(b" " + b"".join(bytes((each, 8, each)) for each in CARD) + b" ")
    assert b"4" not in out
    assert b"1" not in out


def test_a_key_over_many_lines_is_masked_to_its_end() -> None:
    body = b"".join(
        b"MIIabcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUV%02d\r\n" % n for n in range(40)
    )
    key = b"-----BEGIN RSA PRIVATE KEY-----\r\n" + body + b"-----END RSA PRIVATE KEY-----\r\n$ "
    for size in (1, 50, 10_000):
        out = masked(*(key[n : n + size] for n in range(0, len(key), size)))
        assert b"MII" not in out
        assert out.endswith(b"\r\n$ ")


def test_what_is_held_is_bounded() -> None:
    masker = OutputMasker(masking())
    masker.feed(b"a" + b"\x1b[31m" * 20_000)
    assert masker.held <= MAX_RAW
    masker.feed(b"\x1b]0;" + b"x" * 100_000)
    assert masker.held <= MAX_RAW


def test_doubt_is_told() -> None:
    masker = OutputMasker(raising(b"boom"))
    with pytest.raises(MaskFailed):
        masker.feed(b"boom")


@pytest.mark.parametrize(
    "raw",
    [
        b"\x1b" * 200_000,
        b"\x1b]" * 100_000,
        b"\x1b]0;" + b"x" * 200_000,
        b"\b" * 200_000,
        b"\x1b[" + b"1;" * 100_000,
        b"4\x1b[C" * 50_000,
    ],
)
def test_time_is_linear(raw: bytes) -> None:
    started = time.process_time()
    masked(raw)
    assert time.process_time() - started < 3.0
