"""Certificates and keys in files: read and put to use, with errors that name the file."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def read_pem(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def _readable(path: Path) -> Path:
    read_pem(path)
    return path


# A setting that names a file, refused where that cannot be read.
PemFile = Annotated[Path, AfterValidator(_readable)]


def certify(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    """Let connections of a context show a certificate.

    Args:
        context: changed.
        cert: the certificate in PEM, with its chain.
        key: its private key in PEM, None where it is in the same file.

    Raises:
        ValueError: they cannot be used; the message names the setting and the file.
    """
    name, key = ("cert_file", cert) if key is None else ("key_file", key)

    def ask() -> str:  # else OpenSSL would, on the terminal
        raise ValueError(f"{name}: the key in {key} is encrypted; decrypt it with `openssl pkey`")

    try:
        context.load_cert_chain(cert, key, ask)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            reason = f"{name}: the key in {key} is not that of the certificate in {cert}"
        elif b"-BEGIN CERTIFICATE-" not in read_pem(cert):
            reason = f"cert_file: {cert} holds no certificate in PEM"
        elif b" PRIVATE KEY-" not in read_pem(key):
            reason = f"{name}: {key} holds no private key in PEM"
        else:
            reason = f"cert_file and key_file cannot be used: {error.reason}"
        raise ValueError(reason) from None
    except OSError as error:
        raise ValueError(f"{name}: cannot read {cert} or {key}: {error.strerror}") from None
