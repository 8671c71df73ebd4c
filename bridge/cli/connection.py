"""How a command reaches the admin endpoint: over http, or over https where `admin.tls` says so."""

from __future__ import annotations

import ssl
from http.client import HTTPConnection, HTTPSConnection

from bridge.config import Admin


def connect(admin: Admin, timeout: float) -> HTTPConnection:
    """Return a connection, not open, to whoever shows a certificate that `admin.tls` trusts.

    Args:
        admin: where it listens.
        timeout: seconds to wait for a connection, or for a part of an answer.
    """
    host = admin.reachable_host
    if admin.tls is None:
        return HTTPConnection(host, admin.port, timeout=timeout)
    context = admin.tls.client_context(host)
    return HTTPSConnection(host, admin.port, timeout=timeout, context=context)


def connect_unverified(admin: Admin, timeout: float, *, tls: bool) -> HTTPConnection:
    """Return one to whoever listens there, for a question with no secret in it.

    Args:
        admin: where it listens.
        timeout: as of `connect`.
        tls: whether over https, whatever `admin.tls` says.
    """
    host = admin.reachable_host
    if not tls:
        return HTTPConnection(host, admin.port, timeout=timeout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(host, admin.port, timeout=timeout, context=context)
