"""TLS of the sink `webhook`: whom we trust, and the certificate that says who we are."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import certifi
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator


class Tls(BaseModel):
    """How the receiver's certificate is verified, and which one it is shown.

    Equal settings have equal files, so that a reload takes up what was renewed in its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: Path | None = Field(
        default=None, description="Certificates to trust (PEM) in place of the system's."
    )
    cert_file: Path | None = Field(
        default=None,
        description="The certificate that the receiver is shown (PEM), with its chain.",
    )
    key_file: Path | None = Field(
        default=None,
        description="The private key of cert_file (PEM, not encrypted), if it is not in there.",
    )
    verify: bool = Field(
        default=True, description="Whether the certificate is verified; false trusts anybody."
    )
    _content: bytes = PrivateAttr(default=b"")

    @field_validator("ca_file", "cert_file", "key_file")
    @classmethod
    def _there(cls, path: Path | None) -> Path | None:
        if path is not None:
            _read(path)
        return path

    @model_validator(mode="after")
    def _usable(self) -> Tls:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file is given without cert_file")
        files = (self.ca_file, self.cert_file, self.key_file)
        content = [_read(path) for path in files if path is not None]
        if content:
            self._content = hashlib.sha256(b"\0".join(content)).digest()
            self.context()
        return self

    def context(self) -> ssl.SSLContext:
        """Return what connections are made with.

        Raises:
            ValueError: a file cannot be used; the message names it.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError:
            raise ValueError(f"ca_file: {self.ca_file} holds no certificate in PEM") from None
        except OSError as error:
            raise ValueError(f"ca_file: cannot read {self.ca_file}: {error.strerror}") from None
        if self.ca_file is None:
            known = ssl.get_default_verify_paths()
            if not known.cafile and not (known.capath and any(Path(known.capath).iterdir())):
                context.load_verify_locations(certifi.where())  # a bare image has none
        if self.cert_file is not None:
            self._identify(context, self.cert_file, self.key_file or self.cert_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _identify(self, context: ssl.SSLContext, cert: Path, key: Path) -> None:
        name = "key_file" if self.key_file else "cert_file"

        def ask() -> str:  # else OpenSSL would, on the terminal
            raise ValueError(
                f"{name}: the key in {key} is encrypted; decrypt it with `openssl pkey`"
            )

        try:
            context.load_cert_chain(cert, key, ask)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = f"{name}: the key in {key} is not that of the certificate in {cert}"
            elif b"-BEGIN CERTIFICATE-" not in _read(cert):
                reason = f"cert_file: {cert} holds no certificate in PEM"
            elif b" PRIVATE KEY-" not in _read(key):
                reason = f"{name}: {key} holds no private key in PEM"
            else:
                reason = f"cert_file and key_file cannot be used: {error.reason}"
            raise ValueError(reason) from None
        except OSError as error:
            raise ValueError(f"{name}: cannot read {cert} or {key}: {error.strerror}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
