"""The format as documented: the page's own verifier, which uses nothing of recgate, agrees with ours."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from core.tests.recordings import Maker
from recgate.ids import session_bytes
from recgate.recipients.keys import Identity
from recgate.recording.cose import public_bytes

PAGE = Path(__file__).parents[2] / "docs/reference/recording-format.md"


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)


@pytest.fixture
def outsider(maker, tmp_path):
    """Run the page's program on a recording; gives what it says, or how it fails."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program, trust = tmp_path / "outsider.py", tmp_path / "trust.json"
    program.write_text(code)
    key = base64.b64encode(public_bytes(maker.identity)).decode()
    trust.write_text(json.dumps({"version": 1, "gateway": "gate-1", "identity": [{"public": key}]}))

    def run(session):
        command = [sys.executable, str(program), str(maker.store.place(session)), str(trust)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip() or done.stderr.strip().splitlines()[-1]

    return run


def test_the_program_on_the_page_verifies_a_recording(maker, outsider):
    session = maker.record([(0, "F", b"a" * 100_000), (1, "B", b"b")], [], [(0, "é", b"c")])
    assert outsider(session) == "complete 5 client-closed"


def test_the_program_on_the_page_verifies_an_empty_recording(maker, outsider):
    assert outsider(maker.record([])) == "complete 2 client-closed"


def test_the_program_on_the_page_verifies_what_it_cannot_read(maker, outsider):
    maker.auditors.become([Identity.generate().recipient.text])
    assert outsider(maker.record([(0, "F", b"a" * 100_000)], [(0, "F", b"b")])) == "complete 4 client-closed"


def test_the_program_on_the_page_reads_what_is_sealed_to_its_key(maker):
    ours = Identity.generate()
    maker.auditors.become([Identity.generate(2).recipient.text, ours.recipient.text])
    session = maker.record([(0, "F", b"a" * 100_000), (1, "B", b"b" * 90_000)])
    (code,) = re.findall(
        r"{code-block} python\n:name: recording-contents\n\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    page: dict[str, Any] = {}
    exec(code, page)  # noqa: S102 - our own documentation
    opening, blocks = page["parted"](maker.store.get(session, "000001.seg"))
    erasure = maker.erasure.of(session_bytes(session)).reveal()
    private = X25519PrivateKey.from_private_bytes(ours.secret.reveal())
    frames = page["contents"](opening, blocks, session_bytes(session), private, erasure)
    with io.BytesIO(frames) as file:
        decoder = cbor2.CBORDecoder(file, read_size=1)
        assert [decoder.decode()[6] for _ in range(3)][1:] == [b"a" * 100_000, b"b" * 90_000]


def test_the_program_on_the_page_tells_a_recovered_one(maker, outsider):
    session, journal = maker.open()
    journal.append(0, "F", b"one")
    maker.seal(session, journal)
    journal.append(0, "F", b"two")
    journal.release()
    maker.recover(session)
    assert outsider(session) == "recovered 4 the gateway died"


def test_the_program_on_the_page_sees_a_missing_tail_and_a_changed_byte(maker, outsider):
    session = maker.record([(0, "F", b"a")], [(0, "F", b"b")])
    place = maker.store.place(session)
    last = place / "000002.seg"
    content = last.read_bytes()
    last.unlink()
    assert outsider(session) == "AssertionError: the tail is missing"
    last.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    assert "complete" not in outsider(session)
