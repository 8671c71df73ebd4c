"""What a registry may answer, and what of it is said: never a secret, always the cause."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from services.registry_answers import Answer, AnsweringRegistry

from bridge.errors import Retry
from bridge.formats.avro_client import Client
from bridge.formats.avro_registry import Away
from bridge.formats.registry_settings import SchemaRegistry

SECRET = "hunter2 & more"
TEXT = '{"type":"record","name":"t","fields":[]}'
ID = Answer(200, body=b'{"id": 7}')


@pytest.fixture
def registry() -> Iterator[AnsweringRegistry]:
    with AnsweringRegistry() as server:
        yield server


def client(url: str, **settings: Any) -> Client:
    return Client(SchemaRegistry.model_validate({"url": url, **settings}))


def test_we_say_who_we_are(registry: AnsweringRegistry) -> None:
    """Basic authentication, the schema as JSON, under the subject."""
    registry.answer = ID

    number = client(registry.url, username="me", password=SECRET).id_of("a/b c", TEXT)

    assert number == 7
    ((path, headers, body),) = registry.calls
    assert path == "/sr/subjects/a%2Fb%20c/versions?normalize=False"
    login = base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert headers["Authorization"] == f"Basic {login}"
    assert json.loads(body)["schema"] == TEXT


@pytest.mark.parametrize(
    ("answer", "away", "said"),
    [
        (Answer(401, body=b'{"error_code":401,"message":"who?"}'), True, "401 (see username and"),
        (Answer(403, body=b'{"error_code":40301,"message":"no"}'), True, "answers 403: no"),
        (Answer(404, body=b"<html>nothing here</html>"), True, "answers 404 (is its url right?)"),
        (Answer(301, headers={"Location": "http://x/?hunter2%20%26%20more"}), True, "s 301"),
        (Answer(429, body=b'{"error_code":429,"message":"slow"}'), True, "answers 429: slow"),
        (Answer(500, body=b'{"error_code":50001,"message":"store"}'), True, "500: store"),
        (Answer(503, body=SECRET.encode()), True, "answers 503"),
        (Answer(200, body=b"{}"), True, "its answer has no id of a schema"),
        (Answer(200, body=b'{"id": -1}'), True, "its answer has no id of a schema"),
        (Answer(200, body=b'{"id": "7"}'), True, "its answer has no id of a schema"),
        (Answer(200, body=b"[1]"), True, "no answer from schema registry"),
        (Answer(200, body=b"no json"), True, "no answer from schema registry"),
        (Answer(204), True, "no answer from schema registry"),
        (Answer(None), True, "no answer from schema registry"),
        (
            Answer(409, body=b'{"error_code":409,"message":"not compatible: hunter2 & more"}'),
            False,
            "refuses the schema of s with 409: not compatible: ***",
        ),
        (Answer(422, body=b'{"error_code":42201,"message":"bad"}'), False, "with 422: bad"),
    ],
)  # fmt: skip
def test_what_it_answers_is_understood(
    registry: AnsweringRegistry, answer: Answer, away: bool, said: str
) -> None:
    """A refusal is about the schema, all else about the registry; neither shows a secret."""
    registry.answer = answer

    with pytest.raises(Retry) as caught:
        client(registry.url, username="me", password=SECRET).id_of("s", TEXT)

    assert said in str(caught.value)
    assert isinstance(caught.value, Away) is away
    assert not caught.value.answered
    assert "hunter2" not in f"{caught.value} {caught.value.answer}"


def test_long_words_are_cut_and_kept_in_the_answer(registry: AnsweringRegistry) -> None:
    """2 KiB of them, the status first."""
    body = json.dumps({"error_code": 409, "message": "x" * 10_000}).encode()
    registry.answer = Answer(409, body=body)

    with pytest.raises(Retry) as caught:
        client(registry.url).id_of("s", TEXT)

    assert len(str(caught.value)) == 256
    assert caught.value.answer is not None
    assert len(caught.value.answer) == 2048
    assert caught.value.answer.startswith("409 xxx")


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[AnsweringRegistry]:
    """A registry that wants to see a certificate of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with AnsweringRegistry(context) as server:
        server.answer = ID
        yield server


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    ours = authority.issue_cert("kinetica-bridge.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in ours.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    return {f"{name}_file": str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}


def test_both_sides_show_certificates(tls_server: AnsweringRegistry, files: dict[str, str]) -> None:
    """With an authority of one's own, and a certificate of ours."""
    assert client(tls_server.url, tls=files).id_of("s", TEXT) == 7


@pytest.mark.parametrize("missing", ["ca_file", "cert_file"])
def test_a_certificate_that_is_not_trusted_is_said(
    tls_server: AnsweringRegistry, files: dict[str, str], missing: str
) -> None:
    """Theirs, or ours."""
    given = {name: file for name, file in files.items() if not name.startswith(missing[:2])}
    given.pop("key_file", None) if missing == "cert_file" else None

    with pytest.raises(Away, match="no answer from schema registry https"):
        client(tls_server.url, tls=given).id_of("s", TEXT)


def test_a_file_that_is_not_there_is_said(files: dict[str, str]) -> None:
    """It may come: whoever asks waits for it."""
    with pytest.raises(Away, match="No such file"):
        client("https://127.0.0.1:1", tls=files | {"ca_file": "/nowhere.pem"}).id_of("s", TEXT)


def test_certificates_that_were_renewed_are_read_again(
    tls_server: AnsweringRegistry, files: dict[str, str], authority: trustme.CA
) -> None:
    """After a call that came to nothing; nobody has to reload."""
    good = Path(files["ca_file"]).read_bytes()
    trustme.CA().cert_pem.write_to_path(files["ca_file"])
    asking = client(tls_server.url, tls=files)
    with pytest.raises(Away, match="CERTIFICATE_VERIFY_FAILED"):
        asking.id_of("s", TEXT)

    Path(files["ca_file"]).write_bytes(good)

    assert asking.id_of("s", TEXT) == 7
