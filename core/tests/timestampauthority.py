"""A time-stamp authority for tests: OpenSSL's `ts` behind a small HTTP server (RFC 3161 §3.4)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

__all__ = ["TimestampAuthority"]

_CONFIG = """
[tsa]
default_tsa = ours
[ours]
serial = {directory}/serial
crypto_device = builtin
signer_cert = {directory}/tsa.pem
signer_key = {directory}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[for_ts]
extendedKeyUsage = critical,timeStamping
[for_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
[req]
distinguished_name = name
[name]
"""


class TimestampAuthority:
    """`ca` is what its tokens verify under; `spoil` is done to every one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        self.ca = directory / "ca.pem"
        self.asked = 0
        self.spoil = lambda token: token
        (directory / "ts.cnf").write_text(_CONFIG.format(directory=directory))
        (directory / "serial").write_text("01\n")
        key = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ts.cnf"
        self._openssl(f"{key} -x509 -days 30 -subj /CN=ca -extensions for_ca -keyout ca.key -out ca.pem")
        self._openssl(f"{key} -subj /CN=tsa -keyout tsa.key -out tsa.csr")
        signed = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile ts.cnf -extensions for_ts"
        self._openssl(f"x509 -req -in tsa.csr {signed} -out tsa.pem")

    def _openssl(self, words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=self.directory, check=True, capture_output=True)

    def answer(self, query: bytes) -> bytes:
        """Give the response to a query."""
        self.asked += 1
        with tempfile.NamedTemporaryFile(dir=self.directory) as asked:
            asked.write(query)
            asked.flush()
            reply = f"{asked.name}.tsr"
            self._openssl(f"ts -reply -config ts.cnf -section ours -queryfile {asked.name} -out {reply}")
        return self.spoil(Path(reply).read_bytes())

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer over HTTP on a free port; gives the address."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                token = authority.answer(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-type", "application/timestamp-reply")
                self.send_header("content-length", str(len(token)))
                self.end_headers()
                self.wfile.write(token)

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
