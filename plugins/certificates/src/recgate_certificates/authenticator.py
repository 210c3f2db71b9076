"""Says who somebody is by a TLS client certificate whose private key the handshake has proven."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import trio
from cryptography import x509

from recgate.errors import AuthenticationFailed
from recgate.model import ConnectionInfo, Evidence, LoginName, Principal, ScramKeys, TlsCertificateEvidence
from recgate.patterns import fits
from recgate.providers import Authenticator, Ending
from recgate_certificates.checking import Authorities
from recgate_certificates.errors import CertificateRefused
from recgate_certificates.settings import CertificateRule, CertificateSettings

__all__ = ["CertificateAuthenticator"]

MAX_NAME: Final = 512  # characters of a user's name, its prefix included
MAX_KEPT: Final = 20_000  # certificates that are asked after while there are sessions; the oldest go first


class CertificateAuthenticator:
    """The authenticator of one `certificates:` entry."""

    def __init__(self, settings: CertificateSettings, foreign: tuple[str, ...] = ()) -> None:
        self._settings = settings
        self._foreign = foreign
        self._authorities = Authorities(settings.ca, settings.intermediates, settings.crl)
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    @property
    def name(self) -> str:
        """The name of the source."""
        return self._settings.name

    @property
    def client_authorities(self) -> str:
        """PEM of the authorities whose certificates clients are asked for."""
        return self._authorities.pem

    async def authenticate(
        self, login: LoginName, evidence: Evidence, connection: ConnectionInfo
    ) -> Principal | None:
        """Say whose certificate this is, or None if it is of other authorities.

        Raises:
            AuthenticationFailed: it is of these, and does not count, or no rule fits it.
        """
        if not isinstance(evidence, TlsCertificateEvidence):
            return None
        try:
            principal = await trio.to_thread.run_sync(self._judged, evidence.der)
        except CertificateRefused as exc:
            raise AuthenticationFailed(f"{self.name}: the certificate is refused: {exc}") from exc
        if principal is not None:
            self._kept[principal.credential_id] = evidence.der
            self._kept.move_to_end(principal.credential_id)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return principal

    async def scram_keys(self, login: LoginName, connection: ConnectionInfo) -> ScramKeys | None:
        """Abstain: a certificate has no password."""
        return None

    async def current(self, principal: Principal) -> Principal | None:
        """Give the principal as its certificate has it now; None when that has expired or was revoked."""
        der = self._kept.get(principal.credential_id)
        if der is None:
            return None
        self._kept.move_to_end(principal.credential_id)  # those without a session are forgotten before it
        try:
            return await trio.to_thread.run_sync(self._judged, der)
        except CertificateRefused:
            return None

    async def endings(self, principal: Principal) -> Sequence[Ending]:
        """Say what ends it early; of a revocation the gateway knows as soon as its list has it."""
        endings = [Ending("the rule that the certificate fits is taken away", 0.0)]
        if self._settings.crl:
            endings.insert(0, Ending("the certificate is in the revocation list that the gateway has", 0.0))
        return endings

    def inherit(self, before: Authenticator) -> None:
        """Take over the certificates of live sessions, which are judged by the rules of now."""
        if isinstance(before, CertificateAuthenticator):
            self._kept = before._kept.copy()

    def _judged(self, der: bytes) -> Principal | None:
        certificate = self._authorities.checked(der)
        if certificate is None:
            return None
        found = self._fitting(certificate)
        if found is None:
            raise CertificateRefused("no entry of `rules` fits one of its alternative names")
        rule, subject = found
        if rule.user is None and any(subject == each.user for each in self._settings.rules):
            raise CertificateRefused("it is called like those of another entry of `rules`")
        name = self._settings.prefix + (rule.user or subject)
        if not 0 < len(name) <= MAX_NAME or not all("!" <= each <= "~" and each != "," for each in name):
            raise CertificateRefused("nobody can have a name like that")
        if not self._settings.prefix and name.startswith(self._foreign):
            raise CertificateRefused("its name begins with the prefix of another source")
        return Principal(
            issuer=self.name,
            subject=subject,
            name=name,
            groups=frozenset(self._settings.prefix + group for group in rule.groups),
            method="tls-certificate",
            credential_id=f"certificate:{hashlib.sha256(der).hexdigest()[:32]}",
            expires=certificate.not_valid_after_utc.timestamp(),
            source=self.name,
        )

    def _fitting(self, certificate: x509.Certificate) -> tuple[CertificateRule, str] | None:
        """Give the first rule that fits an alternative name, and that name. The common name is not one."""
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
            hosts = names.get_values_for_type(x509.DNSName)
            addresses = names.get_values_for_type(x509.RFC822Name)
        except (x509.ExtensionNotFound, x509.UnsupportedGeneralNameType, ValueError):
            return None
        for rule in self._settings.rules:
            for pattern, values, between in (
                (rule.uri, uris, ":/"),
                (rule.dns, hosts, "."),
                (rule.email, addresses, "@"),
            ):
                for value in values:
                    if pattern is not None and "*" not in value and fits(pattern, value, between):
                        return rule, value
        return None
