"""A webhook of the service: one that is gone, one renewed, one that is mended and asks again."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trustme
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from services.kinetica import Program
from services.outside import FAST, Service, ids_of, until
from services.process import run_command
from services.webhook import Answer, Request, WebhookReceiver
from standardwebhooks import Webhook

TABLE, OTHER = "ki_home.orders", "ki_home.visits"
EXPIRED = datetime(2020, 1, 1, tzinfo=UTC)


def posting(program: Program, *tables: str, **settings: Any) -> dict[str, Any]:
    """Return the configuration of a service that posts tables with these settings."""
    return {
        "kinetica": {"urls": [program.url]},
        "tables": [{"name": table} for table in tables],
        "sinks": {"hook": {"type": "webhook", "retry": FAST, **settings}},
    }


def test_a_table_whose_endpoint_is_gone_waits_for_a_reload_and_the_others_flow(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """410, asked once. SIGHUP with the same configuration asks again, and all arrives in order."""
    for table in (TABLE, OTHER):
        program.create(table)
    gone = True
    webhook_receiver.answer = lambda r: Answer(410 if gone and r.path.endswith("orders") else 200)
    config = posting(program, TABLE, OTHER, url=f"{webhook_receiver.url}/{{name}}")
    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE, OTHER)
        program.insert(TABLE, range(5))
        until(lambda: TABLE in service.waiting("hook"), "the table waits", service.said)
        program.insert(TABLE, range(5, 10))
        program.insert(OTHER, range(10))
        until(
            lambda: service.counted("delivered", sink="hook", table=OTHER) == 10,
            "the other table flows",
            service.said,
        )
        assert "answered 410" in service.waiting("hook")[TABLE]
        assert service.sink("hook")["state"] == "delivering"
        asked = [request.path for request in webhook_receiver.requests]
        assert asked.count("/hook/orders") == 1

        gone = False
        service.reload({})
        until(
            lambda: service.counted("delivered", sink="hook", table=TABLE) == 10,
            "all arrives after the reload",
            service.said,
        )
        assert not service.waiting("hook")
        assert service.terminate() == 0
    assert ids_of(webhook_receiver.accepted, TABLE) == list(range(10))


def test_a_client_certificate_that_was_renewed_in_its_place_is_taken_up_by_a_reload(
    program: Program, tmp_path: Path
) -> None:
    """What waited because it had expired is delivered; the configuration is the same."""
    program.create(TABLE)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    ca, mine = tmp_path / "ca.pem", tmp_path / "mine.pem"
    authority.cert_pem.write_to_path(ca)
    old = authority.issue_cert("bridge.example", not_before=EXPIRED, not_after=EXPIRED)
    old.private_key_and_cert_chain_pem.write_to_path(mine)

    with WebhookReceiver(context) as receiver:
        tls = {"ca_file": str(ca), "cert_file": str(mine)}
        config = posting(program, TABLE, url=receiver.url, tls=tls)
        with Service(tmp_path, config) as service:
            service.wait_tables(TABLE)
            program.insert(TABLE, range(5))
            until(
                lambda: "tls.cert_file" in (service.sink("hook")["error"] or ""),
                "the receiver refuses the certificate",
                service.said,
            )
            authority.issue_cert("bridge.example").private_key_and_cert_chain_pem.write_to_path(
                mine
            )
            service.reload({})
            until(
                lambda: service.counted("delivered", sink="hook") == 5,
                "delivered with the new one",
                service.said,
            )
            assert service.terminate() == 0
        assert ids_of(receiver.accepted) == list(range(5))


def test_what_a_receiver_refused_is_delivered_again_once_it_is_mended(
    program: Program, webhook_receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """Its answer is listed; the replay is the same event, signed and compressed as the others."""
    program.create(TABLE)
    secret, mended = f"whsec_{'N' * 40}", False

    def answer(request: Request) -> Answer:
        refused = not mended and json.loads(request.content)["id"] == 3
        return Answer(422, body=b"no such order") if refused else Answer()

    webhook_receiver.answer = answer
    config = posting(
        program,
        TABLE,
        url=webhook_receiver.url,
        format="cloudevents-binary",
        compress="gzip",
        secret=secret,
    )
    with Service(tmp_path, config) as service:
        service.wait_tables(TABLE)
        program.insert(TABLE, range(10))
        until(
            lambda: service.counted("dead_lettered", sink="hook") == 1,
            "one event is set aside",
            service.said,
        )
        (letter,) = service.dead_letters()
        assert letter["answer"] == "422 no such order"

        mended = True
        of = ("-c", str(service.config_file))
        ran = run_command("deadletters", "replay", str(letter["number"]), *of)
        assert ran.returncode == 0, ran.stderr
        until(
            lambda: sorted(row["id"] for row in webhook_receiver.accepted) == list(range(10)),
            "the event arrives",
            service.said,
        )
        assert service.terminate() == 0

    for request in webhook_receiver.requests:
        headers = dict(request.headers.items())
        Webhook(secret).verify(request.content, headers)
        named = {name.lower(): value for name, value in headers.items()}
        assert from_http_event(HTTPMessage(named, request.content)).get_type().endswith(".insert")
    again = webhook_receiver.requests[-1].headers
    assert (again["ce-id"], again["webhook-id"]) == (letter["id"], f"{letter['id']}-1")
