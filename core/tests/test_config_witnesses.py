"""Which witnesses can be configured, and what is said of those that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recgate import config as configuration
from recgate.errors import ConfigurationError
from recgate.ledger.cosignature import witness_key
from recgate.ledger.note import ED25519, Vkey

PUBLIC = Ed25519PrivateKey.from_private_bytes(bytes(32))
KEY = witness_key("witness.example/w1", PUBLIC).text
LOG = Vkey("log", ED25519, PUBLIC.public_key().public_bytes_raw()).text


@pytest.fixture
def load(tmp_path):
    def with_recording(text):
        file = tmp_path / "recgate.yaml"
        file.write_text(f"recording:\n{text}\n")
        return configuration.load(file).recording

    return with_recording


def test_every_kind_of_witness_is_read(load, tmp_path):
    recording = load(
        f"""  witnesses:
    - {{url: "https://witness.example/w1", key: "{KEY}", ca: ca.pem}}
    - {{path: /mnt/other/witness, key: "{KEY}"}}
    - {{rfc3161: "http://tsa.example", ca: tsa.pem, every: 1h}}
  witness_silence: {{after: 30m, then: refuse}}"""
    )

    by_url, by_path, authority = recording.witnesses
    assert by_url.ca == tmp_path / "ca.pem"
    assert by_path.path == Path("/mnt/other/witness")
    assert authority.every == 3600.0
    assert (recording.witness_silence.after, recording.witness_silence.then) == (1800.0, "refuse")


def test_without_any_nobody_is_asked(load):
    recording = load("  index: text")

    assert recording.witnesses == ()
    assert recording.witness_silence.then == "warn"


@pytest.mark.parametrize(
    ("witness", "said"),
    [
        (f'{{key: "{KEY}"}}', "one of url, path and rfc3161"),
        (f'{{url: "http://a", path: /b, key: "{KEY}"}}', "one of url, path and rfc3161"),
        ('{url: "http://a"}', "recgate witness new"),
        ("{path: /b}", "recgate witness new"),
        ('{rfc3161: "http://a"}', "the authorities that sign"),
        (f'{{rfc3161: "http://a", ca: ca.pem, key: "{KEY}"}}', "no `key`"),
        (f'{{url: "ftp://a", key: "{KEY}"}}', "http://HOST"),
        (f'{{url: "http://me:secret@a", key: "{KEY}"}}', "without a password"),
        ('{url: "http://a", key: nonsense}', "recgate witness new"),
        (f'{{url: "http://a", key: "{LOG}"}}', "key of a log"),
        (f'{{url: "http://a", key: "{KEY}", wait: 1h}}', "wait"),
    ],
)
def test_what_is_wrong_is_said(load, witness, said):
    with pytest.raises(ConfigurationError) as caught:
        load(f"  witnesses:\n    - {witness}")

    assert said in str(caught.value)
    assert "secret@" not in str(caught.value)
