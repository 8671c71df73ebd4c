"""`admin.tls`: what can be used is, and what cannot be is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from bridge.config import Config, parse
from bridge.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Certificates and keys, two of each, and what is neither."""
    for name in ("one", "other"):
        issued = trustme.CA().issue_cert("bridge.example")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.crt")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    (tmp_path / "neither").write_text("kinetica: {}")
    return tmp_path


def load(folder: Path, **files: str) -> Config:
    tls = ", ".join(f"{key}: {folder / name}" for key, name in files.items())
    return parse(f"kinetica: {{urls: a}}\ntables: [{{name: s.t}}]\nadmin:\n  tls: {{{tls}}}\n")


def test_key_and_certificate_may_be_in_one_file(folder: Path) -> None:
    """As some authorities hand them out."""
    assert load(folder, cert_file="one.pem").admin.tls is not None
    assert load(folder, cert_file="one.crt", key_file="one.key").admin.tls is not None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, ".cert_file: required"),
        ({"cert_file": "none.crt"}, ".cert_file: no such file: {0}/none.crt"),
        ({"cert_file": "one.crt", "key_file": "none"}, ".key_file: no such file: {0}/none"),
        (
            {"cert_file": "one.crt", "key_file": "other.key"},
            ": key_file: the key in {0}/other.key is not that of the certificate in {0}/one.crt",
        ),
        (
            {"cert_file": "neither", "key_file": "one.key"},
            ": cert_file: {0}/neither holds no certificate in PEM",
        ),
        ({"cert_file": "one.crt"}, ": cert_file: {0}/one.crt holds no private key in PEM"),
        (
            {"cert_file": "one.pem", "ca_file": "neither"},
            ": ca_file: {0}/neither holds no certificate in PEM",
        ),
    ],
)
def test_what_cannot_be_used_is_named(folder: Path, files: dict[str, str], said: str) -> None:
    """With the line, the setting and the file."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, **files)

    assert caught.value.problems == ["bridge.yaml:4: admin.tls" + said.format(folder)]


@pytest.mark.parametrize(
    ("listen", "asked"), [("127.0.0.1", False), ("[::1]", False), ("localhost", False), ("a", True)]
)
def test_an_authoritys_certificate_needs_a_name_only_where_it_is_asked_over_a_network(
    folder: Path, listen: str, asked: bool
) -> None:
    """Without an authority none is: it is that certificate or it is not."""
    with_ca = load(folder, cert_file="one.pem", ca_file="other.crt").admin.tls
    alone = load(folder, cert_file="one.pem").admin.tls

    assert with_ca is not None and alone is not None  # noqa: PT018 (for the type)
    assert with_ca.client_context(listen.strip("[]")).check_hostname is asked
    assert alone.client_context(listen.strip("[]")).check_hostname is False
