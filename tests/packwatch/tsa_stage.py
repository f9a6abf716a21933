"""A time-stamp authority of the tests: OpenSSL's, behind a small HTTP server on loopback."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONFIG = """
[ tsa ]
default_tsa = own
[ own ]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[ time_stamping ]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
"""


class Authority:
    """Its address, its certificate, and how often it stamped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self.stamped = 0
        self.url = ""

    def make(self) -> None:
        (self.folder / "tsa.cnf").write_text(_CONFIG)
        (self.folder / "serial").write_text("01\n")
        new = "req -config /dev/null -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        own = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
        self._openssl(f"{new} -x509 -days 9999 -subj /CN=authority -keyout ca.key -out ca.pem {own}")
        self._openssl(f"{new} -subj /CN=stamps -keyout tsa.key -out tsa.csr")
        by = "-CA ca.pem -CAkey ca.key -CAcreateserial"
        use = "-extfile tsa.cnf -extensions time_stamping"
        self._openssl(f"x509 -req -in tsa.csr {by} -days 9999 {use} -out tsa.pem")

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query.tsq").write_bytes(query)
        self._openssl("ts -reply -config tsa.cnf -section own -queryfile query.tsq -out reply.tsr")
        self.stamped += 1
        return (self.folder / "reply.tsr").read_bytes()

    def _openssl(self, words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=self.folder, check=True, capture_output=True)


@contextmanager
def time_stamp_authority() -> Iterator[Authority]:
    """A running authority; `url` and `ca_file` are what settings take."""
    with tempfile.TemporaryDirectory(prefix="tsa-") as folder:
        authority = Authority(Path(folder))
        authority.make()
        turn = threading.Lock()

        class Stamping(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["content-length"]))
                with turn:
                    content = authority.reply(query)
                self.send_response(200)
                self.send_header("content-type", "application/timestamp-reply")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Stamping)
        thread = threading.Thread(target=server.serve_forever, name="time-stamp authority")
        thread.start()
        authority.url = f"http://127.0.0.1:{server.server_port}/tsr"
        try:
            yield authority
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
