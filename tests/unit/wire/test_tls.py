"""TLS with a CA of our own."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from harness.wire import BadTls, Client, Credentials, Limits, Request, Stop, Tls, bytes_source
from tests.unit.wire.peer import Peer, Talk, answer, answers, field_of, routes


class Authority:
    """A CA and a server certificate for 127.0.0.1, made with openssl."""

    def __init__(self, folder: Path) -> None:
        self.ca = str(folder / "ca.pem")
        self._folder = folder
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test CA")
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "ext")
        self._openssl("x509", "-req", "-in", "server.csr", *signing, "-out", "server.pem")
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(folder / "server.pem", folder / "server.key")

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def test_a_ca_of_our_own_is_trusted(authority: Authority) -> None:
    with Peer(answers(answer(), answer()), tls=authority.server) as peer:
        client = Client(peer.url, tls=Tls(ca_file=authority.ca))
        assert client.send(Request("GET", "/v2/")).text == b"ok"
        assert client.send(Request("GET", "/v2/")).text == b"ok"
        client.close()
        peer.settle()
        assert len(peer.talks) == 1
        assert field_of(peer.talks[0].requests[0], "host") == f"127.0.0.1:{peer.port}"


def test_an_unknown_ca_is_not_trusted_and_nothing_is_sent(authority: Authority) -> None:
    with Peer(answers(answer()), tls=authority.server) as peer:
        said = Client(peer.url).send(Request("GET", "/v2/"))
        assert (said.status, said.error) == (None, "tls")
        assert "certificate" in said.detail
        peer.settle()
        assert peer.talks[0].got == b""


def test_a_certificate_for_another_name_is_not_accepted(authority: Authority) -> None:
    with Peer(answers(answer()), tls=authority.server) as peer:
        client = Client(f"https://localhost:{peer.port}", tls=Tls(ca_file=authority.ca))
        assert client.send(Request("GET", "/v2/")).error == "tls"


def test_insecure_accepts_every_certificate(authority: Authority) -> None:
    with Peer(answers(answer()), tls=authority.server) as peer:
        client = Client(f"https://localhost:{peer.port}", tls=Tls(insecure=True))
        assert client.send(Request("GET", "/v2/")).complete
        client.close()


def test_a_server_without_tls_is_an_error_of_tls() -> None:
    def script(talk: Talk) -> None:
        talk.receive()
        talk.send(b"HTTP/1.1 400 Bad\r\n\r\n")

    with Peer(script) as peer:
        said = Client(f"https://127.0.0.1:{peer.port}").send(Request("GET", "/"))
        assert (said.status, said.error) == (None, "tls")


def test_a_handshake_that_hangs_runs_into_the_limit_of_connecting() -> None:
    with Peer(Talk.to_end) as peer:
        client = Client(f"https://127.0.0.1:{peer.port}", limits=Limits(connect_s=0.2))
        assert client.send(Request("GET", "/")).error == "connect-timeout"


def test_large_bodies_pass_both_ways(authority: Authority) -> None:
    data = bytes(i % 253 for i in range(3 << 20))
    with Peer(answers(answer(200, data)), tls=authority.server) as peer:
        client = Client(peer.url, tls=Tls(ca_file=authority.ca))
        said = client.send(Request("PUT", "/", body=bytes_source(data), keep_text_bytes=len(data)))
        assert said.text == data
        assert peer.talks[0].requests[0].partition(b"\r\n\r\n")[2] == data
        client.close()


def test_half_still_decrypts_the_answer(authority: Authority) -> None:
    def script(talk: Talk) -> None:
        talk.to_end()
        talk.send(answer(400, b"half"))

    with Peer(script, tls=authority.server) as peer:
        client = Client(peer.url, tls=Tls(ca_file=authority.ca))
        stop = Stop("body", 10, lambda: "half")
        said = client.send(Request("PUT", "/", body=bytes_source(bytes(100)), stops=(stop,)))
        assert (said.status, said.text) == (400, b"half"), said


def test_a_cut_in_the_body_counts_bytes_before_encryption(authority: Authority) -> None:
    with Peer(Talk.to_end, tls=authority.server) as peer:
        client = Client(peer.url, tls=Tls(ca_file=authority.ca))
        stop = Stop("body", 10, lambda: "close")
        assert client.send(Request("PUT", "/", body=bytes_source(bytes(100)), stops=(stop,))).error == "cut"
        peer.settle()
        assert bytes(peer.talks[0].got).partition(b"\r\n\r\n")[2] == bytes(10)


def test_credentials_are_not_sent_in_the_clear_because_a_realm_says_so(authority: Authority) -> None:
    with Peer(routes(lambda _: answer(200, b'{"token": "t"}'))) as plain:
        challenge = f'WWW-Authenticate: Bearer realm="{plain.url}/token"'
        with Peer(routes(lambda _: answer(401, b"", challenge)), tls=authority.server) as peer:
            client = Client(peer.url, tls=Tls(ca_file=authority.ca), credentials=Credentials("u", "p"))
            said = client.send(Request("GET", "/v2/"))
            assert said.status == 401
            assert "in the clear" in said.detail
            assert not plain.talks
            client.close()


def test_a_ca_file_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("no certificate")
    with pytest.raises(BadTls, match="PEM"):
        Client("https://x", tls=Tls(ca_file=str(tmp_path / "empty")))
    with pytest.raises(BadTls, match="No such file"):
        Client("https://x", tls=Tls(ca_file=str(tmp_path / "none")))
