"""Where the admin endpoint listens, who may ask it to act, and how it proves who it is."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from bridge.certificates import PemFile, certify, read_pem
from bridge.config.addresses import listen_address
from bridge.config.section import Section, not_empty

ListenAddress = Annotated[
    str,
    BeforeValidator(listen_address, json_schema_input_type=str),
]
SomePemFile = Annotated[PemFile, BeforeValidator(not_empty)]
_END = b"-----END CERTIFICATE-----"


class AdminTls(Section):
    """The admin endpoint over https."""

    cert_file: SomePemFile = Field(
        description="The certificate that it shows (PEM), with its chain.",
    )
    key_file: SomePemFile | None = Field(
        default=None,
        description="The private key of cert_file (PEM, not encrypted), if it is not in there.",
    )
    ca_file: SomePemFile | None = Field(
        default=None,
        description=(
            "Certificates (PEM) that the commands on this machine trust; default: the one in "
            "cert_file, and no other."
        ),
    )

    @model_validator(mode="after")
    def _usable(self) -> AdminTls:
        self.server_context()
        self.client_context("localhost")
        return self

    def server_context(self) -> ssl.SSLContext:
        """Return what the endpoint takes connections with.

        Raises:
            ValueError: a file cannot be used; the message names it.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certify(context, self.cert_file, self.key_file)
        return context

    def client_context(self, host: str) -> ssl.SSLContext:
        """Return what a command on this machine asks the endpoint with.

        Args:
            host: that it is asked at. Few certificates name a loopback address, and none has to:
                what is said there does not leave the machine.

        Raises:
            ValueError: a file cannot be used; the message names it.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca_file is None:
            # The very certificate that the endpoint shows, whoever has signed it.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.check_hostname = False
            context.load_verify_locations(cadata=_first(read_pem(self.cert_file)))
            return context
        context.check_hostname = not _is_loopback(host)
        try:
            context.load_verify_locations(self.ca_file)
        except ssl.SSLError:
            raise ValueError(f"ca_file: {self.ca_file} holds no certificate in PEM") from None
        return context


def _first(content: bytes) -> str:
    """Return the first certificate of a file; those after it have signed it."""
    return (content.partition(_END)[0] + _END).decode("ascii", "ignore")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Admin(Section):
    """Health, metrics, and what the commands ask of the service."""

    listen: ListenAddress = Field(
        default="127.0.0.1:9464",
        description="HOST:PORT of the health and metrics pages; port 0 takes a free one.",
    )
    token: SecretStr | None = Field(
        default=None,
        description=(
            "What actions may be asked for with, besides the token that the service leaves in "
            "journal.path for commands on its machine."
        ),
    )
    tls: AdminTls | None = Field(
        default=None, description="Serve https instead of http, with this certificate."
    )

    @property
    def host(self) -> str:
        """The address to listen on, an IPv6 one without its brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def reachable_host(self) -> str:
        """The address at which a command on this machine reaches it."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    @property
    def port(self) -> int:
        """The port to listen on, 0 for a free one."""
        return int(self.listen.rpartition(":")[2])
