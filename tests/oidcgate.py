"""A gateway that people sign in to with a real provider, and what they come with: browser, device, key."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2

from plugins.ssh.tests.askpass import askpass
from tests.peers.oidcprovider import AUDIENCE, SECRET, Browser, OidcProvider, encoded
from tests.peers.sshd import Sshd
from tests.test_ssh_gateway import SshGate

__all__ = ["BACK", "OidcGate"]

BACK = "http://127.0.0.1:49152/callback"  # nobody need listen there: what counts is where the browser is sent
PATIENCE = 60.0


class OidcGate(SshGate):
    """In front of an sshd, with an HTTPS listener; `corp` is the provider, `ssh` its SSH listener's options."""

    def __init__(
        self,
        directory: Path,
        sshd: Sshd,
        provider: OidcProvider,
        *,
        ssh: Mapping[str, object] | None = None,
        **corp: object,
    ) -> None:
        secret = directory / "client.secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        settings = {
            "name": "corp",
            "issuer": provider.issuer,
            "client_id": "gateway",
            "client_secret_file": str(secret),
            "audience": AUDIENCE,
            "ca": str(provider.ca),
            "scopes": ["openid", "groups", "profile", "offline_access"],
            "poll": "100ms",
            **corp,
        }
        super().__init__(
            directory,
            sshd,
            listeners=[
                {"protocol": "ssh", "bind": "127.0.0.1:0", **(ssh or {})},
                {"protocol": "https", "bind": "127.0.0.1:0"},
            ],
            identity=[{"oidc": settings}, {"local": {}}],
            observers=[{"jsonl": {}}],
            limits={"recheck": "200ms"},
        )
        self.provider = provider

    @property
    def http(self) -> httpx2.Client:
        """A client of the API that nobody knows."""
        verify = ssl.create_default_context(cafile=self.data_dir / "ca.pem")
        url = f"https://127.0.0.1:{self.port('https')}/"
        return httpx2.Client(base_url=url, verify=verify, timeout=PATIENCE)

    def post(self, path: str, token: str = "", **body: Any) -> httpx2.Response:
        """Ask one of the routes of sign-in."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        with self.http as http:
            return http.post(f"api/v1/oidc/{path}", json=body, headers=headers)

    def whoami(self, token: str) -> httpx2.Response:
        """Ask who a token is."""
        with self.http as http:
            return http.get("api/v1/whoami", headers={"authorization": f"Bearer {token}"})

    def by_code(self, user: str = "carol", *, acr: str = "", **changed: object) -> httpx2.Response:
        """Sign in by browser, as `recgate login` does (RFC 8252)."""
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        with self.http as http:
            (about,) = http.get("/.well-known/recgate").json()["login"]
        said = {
            "client_id": about["client_id"],
            "response_type": "code",
            "redirect_uri": BACK,
            "scope": " ".join(about["scopes"]),
            "state": "s",
            "nonce": nonce,
            "prompt": "consent",
            "code_challenge": encoded(sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        with Browser(self.provider, user, acr=acr) as browser:
            back = browser.sent_to(f"{about['authorization_endpoint']}?{urlencode(said)}", BACK)
        body: dict[str, Any] = {
            "source": about["source"],
            "grant": "code",
            "code": parse_qs(urlsplit(back).query)["code"][0],
            "code_verifier": verifier,
            "redirect_uri": BACK,
            "nonce": nonce,
            **changed,
        }
        return self.post("login", **body)

    def by_device(self, handle: str, **more: Any) -> httpx2.Response:
        """Wait for the end of a device's sign-in, as `recgate login --device` does."""
        answers: list[httpx2.Response] = []

        def answered() -> bool:
            answers[:] = [self.post("login", source="corp", grant="device", handle=handle, **more)]
            return answers[0].status_code != 202

        self.until(answered, "the end of a device's sign-in")
        return answers[0]

    def by_password(self, directory: Path, token: str) -> dict[str, Any]:
        """How `line` types a token as a password."""
        return {
            "env": askpass(directory, token),
            "BatchMode": "no",
            "PreferredAuthentications": "password",
            "PubkeyAuthentication": "no",
        }

    def audit(self, kind: str) -> list[str]:
        """The lines of the audit trail of one kind."""
        lines = (self.data_dir / "audit.jsonl").read_text().splitlines()
        return [line for line in lines if f'"{kind}"' in line]
