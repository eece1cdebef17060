"""HTTPS: with a certificate from files, renewed by a signal; files that are none are told apart."""

from __future__ import annotations

import datetime
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .conftest import PROJECT, Server, eventually, half_patch
from .images import push_image, sha

LIMIT_S = 20.0


def issue(name: str, password: bytes | None = None) -> tuple[bytes, bytes]:
    """Return a certificate for localhost, its own issuer, and its key; both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encryption = (
        serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def write(folder: Path, certificate: bytes, key: bytes) -> None:
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)


def trusting(*certificates: bytes) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata="".join(one.decode() for one in certificates))
    context.check_hostname = False
    return context


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, *issue("first"))
    return tmp_path


def files(folder: Path) -> tuple[str, ...]:
    return ("--tls-certificate", str(folder / "tls.crt"), "--tls-key", str(folder / "tls.key"))


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    verify = trusting((folder / "tls.crt").read_bytes())
    served = Server("--driver", "memory", *files(folder), log=folder / "log", verify=verify)
    yield served
    assert served.stop() == 0


def served_certificate(server: Server, context: ssl.SSLContext) -> str:
    """The name in the certificate that a new connection gets."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as sock,
        context.wrap_socket(sock) as wrapped,
    ):
        found = wrapped.getpeercert(binary_form=True)
        assert found is not None
        return x509.load_der_x509_certificate(found).subject.rfc4514_string().removeprefix("CN=")


def test_https(server: Server) -> None:
    assert server.url.startswith("https://")
    body = push_image(server.client, "a", "t", bytes(range(256)) * 10_000)
    answer = server.client.get("/v2/a/manifests/t")
    assert answer.content == body
    data = server.client.get(f"/v2/a/blobs/{sha(bytes(range(256)) * 10_000)}").content
    assert data == bytes(range(256)) * 10_000


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(server: Server, folder: Path, version: ssl.TLSVersion) -> None:
    context = trusting((folder / "tls.crt").read_bytes())
    context.minimum_version = context.maximum_version = version
    assert served_certificate(server, context) == "first"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_version_is_refused(server: Server, folder: Path) -> None:
    context = trusting((folder / "tls.crt").read_bytes())
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol|EOF"):
        served_certificate(server, context)


def test_plain_http_gets_nothing_and_others_are_served(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT_S) as sock:
        sock.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in sock.recv(1000)
    assert server.client.get("/v2/").status_code == 200


def test_a_signal_renews_the_certificate(server: Server, folder: Path) -> None:
    first = (folder / "tls.crt").read_bytes()
    second, key = issue("second")
    both = trusting(first, second)
    write(folder, second, key)
    assert served_certificate(server, both) == "first"
    assert server.client.get("/v2/").status_code == 200
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the certificate was read again" in server.logged())
    assert server.client.get("/v2/").status_code == 200  # on a connection from before
    assert served_certificate(server, both) == "second"
    # Files that do not belong together change nothing.
    write(folder, first, key)
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the certificate stays as it was: http.tls_key: " in server.logged())
    assert served_certificate(server, both) == "second"


def test_stopping_parks_uploads_here_too(folder: Path) -> None:
    root = folder / "store"
    verify = trusting((folder / "tls.crt").read_bytes())
    server = Server("--root", str(root), "--stop-grace", "0.1", *files(folder), verify=verify)
    location = server.client.post("/v2/a/blobs/uploads/").headers["location"]
    with half_patch(server, location, b"x" * 50_000, 100_000, verify):
        assert server.stop() == 0
    server.start()
    assert server.client.get(location).headers["range"] == "0-49999"
    assert server.stop() == 0


def refusal(*options: str) -> str:
    command = [sys.executable, "-m", "reference_impl", "serve", "--driver", "memory", "--port", "0", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, cwd=PROJECT)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


def test_files_that_cannot_be_used(folder: Path) -> None:
    certificate, key = str(folder / "tls.crt"), str(folder / "tls.key")
    (folder / "other.key").write_bytes(issue("other")[1])
    (folder / "locked.key").write_bytes(issue("locked", b"secret")[1])
    (folder / "empty").write_bytes(b"")
    absent = str(folder / "absent")
    for options, expected in [
        ((absent, key), f"http.tls_certificate: {absent}: No such file or directory"),
        ((certificate, absent), f"http.tls_key: {absent}: No such file or directory"),
        ((str(folder / "empty"), key), "http.tls_certificate: "),
        ((key, key), "http.tls_certificate: "),
        ((certificate, certificate), "http.tls_key: "),
        ((certificate, str(folder / "locked.key")), "http.tls_key: "),
        ((certificate, str(folder / "other.key")), "http.tls_key: "),
    ]:
        said = refusal("--tls-certificate", options[0], "--tls-key", options[1])
        assert said.startswith(f"reference_impl: {expected}"), said
    assert "not the key of the certificate" in said
    assert "http.tls_key" in refusal("--tls-certificate", certificate)
    assert refusal("--tls-key", key) == (
        "reference_impl: http.tls_key: has no effect without http.tls_certificate (option --tls-key)"
    )


def test_certificate_and_key_in_one_file(folder: Path) -> None:
    both = folder / "both.pem"
    certificate = (folder / "tls.crt").read_bytes()
    both.write_bytes(certificate + (folder / "tls.key").read_bytes())
    server = Server("--driver", "memory", "--tls-certificate", str(both), verify=trusting(certificate))
    assert server.client.get("/v2/").status_code == 200
    assert server.stop() == 0
