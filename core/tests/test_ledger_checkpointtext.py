"""The text of a head: one form, and every other refused by the line that is wrong."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recgate.errors import LedgerDamaged
from recgate.ledger.checkpointtext import MAX_EXTENSIONS, MAX_SIZE, Checkpoint, parse_checkpoint

# The example of C2SP tlog-checkpoint.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = base64.b64encode(bytes(32)).decode()


def test_the_example_of_the_specification_is_read_and_written():
    head = parse_checkpoint(EXAMPLE)

    assert (head.origin, head.size, head.extensions) == ("example.com/behind-the-sofa", 20852163, ())
    assert head.root.hex().startswith("0ac5186a91863e8e")
    assert head.text == EXAMPLE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "newline"),
        (EXAMPLE[:-1], "newline"),
        ("a\n1\n", "name, a size, a hash"),
        (f"\n1\n{ROOT}\n", "name of a log"),
        (f"{'a' * 256}\n1\n{ROOT}\n", "name of a log"),
        (f"a\n01\n{ROOT}\n", "not a number"),
        (f"a\n+1\n{ROOT}\n", "not a number"),
        (f"a\n-1\n{ROOT}\n", "not a number"),
        (f"a\n1 \n{ROOT}\n", "not a number"),
        (f"a\n\u0661\n{ROOT}\n", "not a number"),
        (f"a\n{MAX_SIZE + 1}\n{ROOT}\n", "not a number"),
        (f"a\n{'9' * 5000}\n{ROOT}\n", "not a number"),
        ("a\n1\nAAAA\n", "32 bytes"),
        (f"a\n1\n{ROOT[:-2]}B=\n", "32 bytes"),
        (f"a\n1\n{ROOT}\n\nb\n", "empty line"),
        (f"a\n1\n{ROOT}\n" + "x\n" * (MAX_EXTENSIONS + 1), "few lines"),
    ],
)
def test_another_form_is_refused(text, said):
    with pytest.raises(LedgerDamaged, match=said):
        parse_checkpoint(text)


@given(
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.integers(0, MAX_SIZE),
    st.binary(min_size=32, max_size=32),
    st.lists(
        st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1), max_size=3
    ),
)
def test_what_is_written_is_read_again(origin, size, root, extensions):
    head = Checkpoint(origin, size, root, tuple(extensions))

    assert parse_checkpoint(head.text) == head
