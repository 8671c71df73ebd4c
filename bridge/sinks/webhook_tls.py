"""TLS of the sink `webhook`: whom we trust, and the certificate that says who we are."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import certifi
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from bridge.certificates import PemFile, certify, read_pem


class Tls(BaseModel):
    """How the receiver's certificate is verified, and which one it is shown.

    Equal settings have equal files, so that a reload takes up what was renewed in its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ca_file: PemFile | None = Field(
        default=None, description="Certificates to trust (PEM) in place of the system's."
    )
    cert_file: PemFile | None = Field(
        default=None,
        description="The certificate that the receiver is shown (PEM), with its chain.",
    )
    key_file: PemFile | None = Field(
        default=None,
        description="The private key of cert_file (PEM, not encrypted), if it is not in there.",
    )
    verify: bool = Field(
        default=True, description="Whether the certificate is verified; false trusts anybody."
    )
    _content: bytes = PrivateAttr(default=b"")

    @model_validator(mode="after")
    def _usable(self) -> Tls:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file is given without cert_file")
        files = (self.ca_file, self.cert_file, self.key_file)
        content = [read_pem(path) for path in files if path is not None]
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
            certify(context, self.cert_file, self.key_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context
