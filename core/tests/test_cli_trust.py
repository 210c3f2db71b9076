"""How a gateway is believed for the first time. The one here is a stub that has a real CA (logingateway.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from core.tests.logingateway import stub_gateway
from recgate.cli.home import ClientHome
from recgate.cli.trust import fingerprint, proven
from recgate.errors import RecgateError
from recgate.keys import GatewayKeys


def home(tmp_path: Path) -> ClientHome:
    return ClientHome.of({"XDG_CONFIG_HOME": str(tmp_path)})


def mark(keys: GatewayKeys) -> str:
    ca = x509.load_pem_x509_certificate(keys.ca_file.read_bytes())
    return ca.fingerprint(hashes.SHA256()).hex(":").upper()


def other_keys(tmp_path: Path) -> GatewayKeys:
    keys = GatewayKeys(tmp_path / "other")
    keys.prepare()
    return keys


async def test_a_file_is_believed(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        found, about = await proven(home(tmp_path), gateway.url, gateway.keys.ca_file)
    assert (found.known.ca, about.name) == (gateway.ca, "gate-1")
    assert about.login[0]["source"] == "corp"


async def test_an_unknown_one_is_refused_and_its_fingerprint_shown(tmp_path: Path) -> None:
    """Nothing is sent to whoever answers, and nothing is believed because it answers."""
    async with stub_gateway(tmp_path) as gateway:
        with pytest.raises(RecgateError, match="no authority of this system vouches for it") as caught:
            await proven(home(tmp_path), gateway.url, None)
    assert mark(gateway.keys) in str(caught.value)
    for word in ("Nothing was sent", "ask its administrator", "--ca ca.pem", "--fingerprint"):
        assert word in str(caught.value)
    assert not home(tmp_path).knows_any()


async def test_the_right_fingerprint_is_enough(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        for spelling in (mark(gateway.keys), mark(gateway.keys).lower().replace(":", "")):
            found, _ = await proven(home(tmp_path), gateway.url, None, spelling)
            assert found.known.ca == gateway.ca


async def test_a_wrong_fingerprint_is_refused(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path) as gateway:
        with pytest.raises(RecgateError, match="not the fingerprint given") as caught:
            await proven(home(tmp_path), gateway.url, None, mark(other_keys(tmp_path)))
        assert mark(gateway.keys) in str(caught.value)
        with pytest.raises(RecgateError, match="64 hexadecimal digits"):
            await proven(home(tmp_path), gateway.url, None, "AB:CD")


async def test_a_ca_that_is_shown_without_a_certificate_of_it_proves_nothing(tmp_path: Path) -> None:
    """Who sits between shows the right CA, which anybody can have: without its key there is no certificate."""
    right = other_keys(tmp_path)
    async with stub_gateway(tmp_path) as gateway:
        gateway.advertise(ca=right.ca_file.read_text())
        with pytest.raises(RecgateError, match="no CA that its certificate is from"):
            await proven(home(tmp_path), gateway.url, None, mark(right))
        with pytest.raises(RecgateError, match="shows no CA of its own") as caught:
            await proven(home(tmp_path), gateway.url, None)
    assert mark(right) not in str(caught.value)


@pytest.mark.parametrize("ca", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
async def test_one_that_shows_no_ca_is_refused_too(tmp_path: Path, ca: str) -> None:
    async with stub_gateway(tmp_path) as gateway:
        gateway.advertise(ca=ca)
        with pytest.raises(RecgateError, match="shows no CA of its own"):
            await proven(home(tmp_path), gateway.url, None)


async def test_a_stored_ca_is_not_replaced_by_what_answers(tmp_path: Path) -> None:
    kept = home(tmp_path)
    other = other_keys(tmp_path)
    async with stub_gateway(tmp_path) as gateway:
        with pytest.raises(RecgateError, match="not believed by the CA given or stored") as caught:
            await proven(kept, gateway.url, other.ca_file)
    assert mark(gateway.keys) not in str(caught.value)


async def test_a_name_that_is_not_the_gateways_is_told_apart(tmp_path: Path) -> None:
    async with stub_gateway(tmp_path, host="127.0.0.2") as gateway:
        with pytest.raises(RecgateError, match=r"No CA helps here.*gateway\.hosts"):
            await proven(home(tmp_path), gateway.url, gateway.keys.ca_file)


def test_a_fingerprint_reads_as_openssls() -> None:
    assert fingerprint(b"").startswith("E3:B0:C4:42:98:FC:1C:14:")
