"""Connecting."""

from __future__ import annotations

import socket
import ssl
import time

from harness.wire.message import Broken
from harness.wire.stream import SocketStream
from harness.wire.tls_stream import TlsStream


def connect(host: str, port: int, *, tls: ssl.SSLContext | None, connect_s: float) -> SocketStream:
    """A connection, TLS included, within ``connect_s`` over all addresses of the name (looking up
    the name is up to the system and has the system's limit). Raises `Broken`: ``dns``, ``refused``,
    ``unreachable``, ``connect-timeout``, ``tls``, ``reset``."""
    end_s = time.monotonic() + connect_s
    where = f"{host}:{port}"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise Broken("dns", f"the name {host} has no address: {error}") from None
    broken = Broken("dns", f"the name {host} has no address")
    for family, kind, protocol, _, address in addresses:
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            broken = Broken("unreachable", f"{where}: {error}")
            continue
        try:
            sock.settimeout(max(0.001, end_s - time.monotonic()))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is None:
                return SocketStream(sock)
            return TlsStream(sock, tls, host, end_s)
        except TimeoutError:
            broken = Broken("connect-timeout", f"{where} is not connected after {connect_s:g} s")
        except ConnectionRefusedError:
            broken = Broken("refused", f"nobody listens on {where}")
        except ssl.SSLError as error:
            broken = Broken("tls", f"{where}: {_tls_reason(error)}")
        except ConnectionResetError:
            broken = Broken("reset", f"{where} reset the connection while connecting")
        except OSError as error:
            broken = Broken("unreachable", f"{where}: {error}")
        sock.close()
    raise broken


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    return str(error.reason or error).lower().replace("_", " ")
