"""Events to an HTTP receiver: one POST a batch, the body always a JSON array.

Delivered means answered with 2xx. With a secret each request is signed after Standard
Webhooks; `webhook-id` names the batch and stays the same over its retries, so that a receiver
can drop what it has already seen.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import certifi
import structlog
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies, select_proxy

import bridge
from bridge.foreign import Cleaner
from bridge.lines import Slice
from bridge.sinks.base import Batch, Carries, Reject, Retry, Sink, SinkSettings
from bridge.sinks.names import is_of_table
from bridge.sinks.signing import sign
from bridge.sinks.webhook_answers import judge
from bridge.sinks.webhook_connection import Answer
from bridge.sinks.webhook_http import HttpClient, Proxy
from bridge.sinks.webhook_settings import WebhookSettings, public

_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
    "User-Agent": f"kinetica-bridge/{bridge.__version__}",
}

_log = structlog.get_logger(__name__)


class WebhookSink(Sink):
    """Posts each batch to one address, or to one for each table.

    What each answer means stands in `webhook_answers`. No answer at all is retried.
    """

    Settings: ClassVar[type[SinkSettings]] = WebhookSettings
    keyed: ClassVar[bool] = False
    carries: ClassVar[frozenset[Carries]] = frozenset({Carries.ATTRIBUTES})

    def __init__(self, settings: WebhookSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = settings.signing_keys()
        self._clean = Cleaner(settings.secrets())
        self._client: HttpClient | None = None
        self.max_in_flight = settings.parallel
        self._by_table = is_of_table(settings.url)

    def open(self) -> None:
        """Make ready to post; connections are made with the first batches, and kept.

        Raises:
            Retry: the environment names a proxy that cannot be used.
        """
        if not self._settings.tls.verify:
            _log.warning("webhook_certificate_not_verified", url=self._settings.public_url())
        self._client = self._new_client()

    def deliver(self, batch: Batch) -> None:
        """Post the events and return if the receiver says that it has them."""
        if not self._by_table:
            self._post(batch.slices)
            return
        # Marked, also where there is one table: what is raised would hold up the others.
        groups: dict[str, list[Slice]] = {}
        for each in batch.slices:
            groups.setdefault(each.table, []).append(each)
        for table, slices in groups.items():
            try:
                self._post(slices)
            except (Retry, Reject) as error:
                batch.fail(table, error)

    def check(self) -> None:
        """Ask for the address with HEAD: any answer shows that the receiver is there.

        Its status says little, since few receivers know HEAD; but where credentials are
        configured, a refusal of them is reported.
        """
        client = self._new_client()
        url = self._settings.url_of("check")
        try:
            answer = self._request(client, "HEAD", url, b"", {})
        finally:
            client.close()
        with_credentials = self._settings.authorization() is not None
        if answer.status == 407 or (with_credentials and answer.status in {401, 403}):
            error = judge(
                answer.status, CaseInsensitiveDict(answer.headers), "", now=datetime.now(UTC)
            )
            raise Retry(f"{public(url)} {error}")

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _post(self, slices: Sequence[Slice]) -> None:
        if self._client is None:
            self.open()
        assert self._client is not None  # noqa: S101 (tells mypy what open has done)
        first = slices[0]
        url = self._settings.url_of(first.table)
        # No line feed stands within a line: in JSON text it is escaped.
        lines = b"".join([each.data for each in slices])
        body = b"[%b]" % lines[:-1].replace(b"\n", b",")
        identity = f"{first.lines.id(first.start)}-{sum(map(len, slices))}"
        headers = self._signature(identity, body) if self._keys else {}
        answer = self._request(self._client, "POST", url, body, headers)
        said = answer.body.decode("utf-8", "replace")
        if not answer.whole:
            said = self._clean.whole(said, cut=True)
        error = judge(
            answer.status,
            CaseInsensitiveDict(answer.headers),
            said,
            now=datetime.fromtimestamp(self._clock(), UTC),
            success=self._settings.success,
            clean=self._clean,
        )
        if error is None and answer.early:
            error = Retry(f"answered {answer.status} and hung up before it had the whole request")
        if error is not None:
            error.args = (f"{public(url)} {error.args[0]}",)
            raise error

    def _new_client(self) -> HttpClient:
        url = self._settings.url
        address = select_proxy(url, get_environ_proxies(url, no_proxy=None))
        try:
            proxy = Proxy.parse(address) if address else None
        except ValueError as error:
            raise Retry(f"the proxy of the environment: {self._clean(str(error))}") from None
        if proxy is not None and address:
            login = address.rpartition("@")[0].rpartition("//")[2]
            secrets = [login, *login.split(":"), *(value[6:] for _, value in proxy.headers)]
            self._clean = Cleaner([*self._settings.secrets(), *secrets])
        return HttpClient(url, self._tls(), proxy)

    def _tls(self) -> ssl.SSLContext:
        tls = self._settings.tls
        if tls.ca_file is not None:
            context = ssl.create_default_context(cafile=str(tls.ca_file))
        else:
            context = ssl.create_default_context()
            known = ssl.get_default_verify_paths()
            if not known.cafile and not (known.capath and any(Path(known.capath).iterdir())):
                context.load_verify_locations(certifi.where())  # a bare image has none
        if not tls.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _signature(self, message_id: str, body: bytes) -> dict[str, str]:
        timestamp = int(self._clock())
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._keys, message_id, timestamp, body),
        }

    def _request(
        self, client: HttpClient, method: str, url: str, body: bytes, headers: dict[str, str]
    ) -> Answer:
        timeout = self._settings.timeout
        try:
            return client.request(method, url, self._headers(headers), body, timeout)
        except TimeoutError as error:
            raise Retry(f"{public(url)}: no answer within {timeout:g} s") from error
        except ssl.SSLError as error:
            cause = self._clean(str(error), 160)
            raise Retry(f"{public(url)}: TLS: {cause} (see tls.ca_file)") from error
        except socket.gaierror as error:
            cause = f"the name cannot be resolved ({error.strerror})"
            raise Retry(f"{public(url)}: {cause}") from error
        except OSError as error:
            cause = self._clean(error.strerror or str(error), 160)
            raise Retry(f"{public(url)}: {cause}") from error

    def _headers(self, more: dict[str, str]) -> list[tuple[str, str]]:
        given = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        authorization = self._settings.authorization()
        if authorization is not None:
            given["Authorization"] = authorization
        named = {name.lower() for name in given}
        ours = [(name, value) for name, value in _HEADERS.items() if name.lower() not in named]
        return [*ours, *given.items(), *more.items()]
