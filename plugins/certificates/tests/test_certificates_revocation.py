"""Revocation lists: read when they change, by several threads, and never believed of another authority."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from plugins.certificates.tests.test_certificates_authenticator import CI, EVIL, MIDDLE, ROOT, uri
from recgate_certificates import revocation
from recgate_certificates.errors import CertificateRefused
from recgate_certificates.revocation import Revocations


def verdict(lists, certificate, issuer=ROOT):
    try:
        lists.check(certificate.serial_number, issuer.certificate)
    except CertificateRefused as exc:
        return str(exc)
    return ""


@pytest.fixture
def reads(monkeypatch):
    """How often lists are read and understood."""
    count = []
    whole = revocation._lists
    monkeypatch.setattr(revocation, "_lists", lambda data: count.append(1) or whole(data))
    return count


def test_a_list_is_read_when_it_changes_and_not_for_every_session(tmp_path, reads):
    file = tmp_path / "crl.pem"
    good, bad = ROOT.issue(uri(CI)), ROOT.issue(uri(CI))
    file.write_bytes(ROOT.revocations(bad))
    lists = Revocations(file)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: verdict(lists, good), range(50))) == {""}
        assert set(pool.map(lambda _: verdict(lists, bad), range(50))) == {"it was revoked"}
    assert len(reads) == 1

    fresh = tmp_path / "fresh"
    fresh.write_bytes(ROOT.revocations(good))
    os.utime(fresh, ns=(0, file.stat().st_mtime_ns))
    fresh.replace(file)

    assert verdict(lists, good) == "it was revoked"
    assert verdict(lists, bad) == ""
    assert len(reads) == 2


def test_a_list_that_goes_away_or_breaks_refuses_and_comes_back(tmp_path):
    file = tmp_path / "crl.pem"
    good = ROOT.issue(uri(CI))
    file.write_bytes(ROOT.revocations())
    lists = Revocations(file)
    assert verdict(lists, good) == ""

    file.write_bytes(b"-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n")
    assert "cannot be read" in verdict(lists, good)
    assert "cannot be read" in verdict(lists, good)
    file.unlink()
    assert "cannot be read" in verdict(lists, good)
    file.write_bytes(ROOT.revocations())
    assert verdict(lists, good) == ""


def test_each_authority_has_a_list_of_its_own(tmp_path):
    file = tmp_path / "crl.pem"
    file.write_bytes(ROOT.revocations() + EVIL.revocations(ROOT.issue(uri(CI))))
    lists = Revocations(file)

    assert verdict(lists, ROOT.issue(uri(CI))) == ""
    assert "no current" in verdict(lists, MIDDLE.issue(uri(CI)), MIDDLE)


def test_a_file_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(revocation, "MAX_FILE", 100)
    (tmp_path / "crl.pem").write_bytes(ROOT.revocations())

    assert "cannot be read" in verdict(Revocations(tmp_path / "crl.pem"), ROOT.issue(uri(CI)))
