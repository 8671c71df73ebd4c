"""Events to an HTTP receiver: one POST a batch, the body a JSON array or a CloudEvent.

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
from typing import ClassVar
from urllib.parse import urlsplit

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
from bridge.sinks.webhook_body import Message, message_of
from bridge.sinks.webhook_connection import Answer
from bridge.sinks.webhook_http import HttpClient, Proxy
from bridge.sinks.webhook_settings import WebhookSettings

_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
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
        self._by_table = is_of_table(settings.address)

    def open(self) -> None:
        """Make ready to post; connections are made with the first batches, and kept.

        Raises:
            Retry: the environment names a proxy that cannot be used, or a certificate that could
                be used no longer can.
        """
        if not self._settings.tls.verify:
            url = self._settings.shown(self._settings.address)
            _log.warning("webhook_certificate_not_verified", url=url)
        self._client = self._new_client()

    def deliver(self, batch: Batch) -> None:
        """Post the events and return if the receiver says that it has them."""
        if self._settings.alone and len(batch) > 1:
            self._one_by_one(batch)
        elif not self._by_table:
            self._post(batch.slices)
        else:
            # Marked, also where there is one table: what is raised would hold up the others.
            groups: dict[str, list[Slice]] = {}
            for each in batch.slices:
                groups.setdefault(each.table, []).append(each)
            for table, slices in groups.items():
                try:
                    self._post(slices)
                except (Retry, Reject) as error:
                    batch.fail(table, error)

    def _one_by_one(self, batch: Batch) -> None:
        """Post each event by itself, whoever put several together; of a table in order."""
        failed: set[str] = set()
        for each in batch.slices:
            for one in (each.part(index, index + 1) for index in range(len(each))):
                if one.table in failed:
                    batch.fail(one, Retry("an event before it goes out again"))
                    continue
                try:
                    self._post([one])
                except (Retry, Reject) as error:
                    batch.fail(one, error)
                    failed.add(one.table)

    def check(self) -> None:
        """Ask for the address with HEAD: any answer shows that the receiver is there.

        Its status says little, since few receivers know HEAD; but where credentials are
        configured, a refusal of them is reported.
        """
        client = self._new_client()
        url = self._settings.url_of("check")
        try:
            answer = self._request(client, "HEAD", url, b"", [])
        finally:
            client.close()
        with_credentials = self._settings.authorization() is not None
        if answer.status == 407 or (with_credentials and answer.status in {401, 403}):
            error = judge(
                answer.status, CaseInsensitiveDict(answer.headers), "", now=datetime.now(UTC)
            )
            raise Retry(f"{self._settings.shown(url)} {error}")

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _post(self, slices: Sequence[Slice]) -> None:
        if self._client is None:
            self.open()
        assert self._client is not None  # noqa: S101 (tells mypy what open has done)
        settings = self._settings
        url = settings.url_of(slices[0].table)
        compressed = settings.compress is not None
        message = message_of(slices, settings.format, alone=settings.alone, compressed=compressed)
        signature = self._signature(message) if self._keys else []
        answer = self._request(self._client, "POST", url, message.body, message.headers + signature)
        said = answer.body.decode("utf-8", "replace")
        if not answer.whole:
            said = self._clean.whole(said, cut=True)
        error = judge(
            answer.status,
            CaseInsensitiveDict(answer.headers),
            said,
            now=datetime.fromtimestamp(self._clock(), UTC),
            success=settings.success,
            clean=self._clean,
            path=urlsplit(url).path,
        )
        if error is None and answer.early:
            error = Retry(f"answered {answer.status} and hung up before it had the whole request")
        if error is not None:
            if compressed and answer.status == 415:
                error.hint = "does it understand compress: gzip?"
            error.args = (f"{settings.shown(url)} {error.args[0]}",)
            raise error

    def _new_client(self) -> HttpClient:
        url = self._settings.address
        address = select_proxy(url, get_environ_proxies(url, no_proxy=None))
        try:
            proxy = Proxy.parse(address) if address else None
        except ValueError as error:
            raise Retry(f"the proxy of the environment: {self._clean(str(error))}") from None
        if proxy is not None and address:
            login = address.rpartition("@")[0].rpartition("//")[2]
            secrets = [login, *login.split(":"), *(value[6:] for _, value in proxy.headers)]
            self._clean = Cleaner([*self._settings.secrets(), *secrets])
        try:
            return HttpClient(url, self._settings.tls.context(), proxy)
        except ValueError as error:
            raise Retry(f"tls: {error}") from None

    def _signature(self, message: Message) -> list[tuple[str, str]]:
        timestamp = int(self._clock())
        # Frameworks unpack a body before anybody can verify it, and libraries want text.
        signed = dict.fromkeys([message.body, message.plain])
        signatures = [sign(self._keys, message.id, timestamp, body) for body in signed]
        return [
            ("webhook-id", message.id),
            ("webhook-timestamp", str(timestamp)),
            ("webhook-signature", " ".join(signatures)),
        ]

    def _request(
        self,
        client: HttpClient,
        method: str,
        url: str,
        body: bytes,
        headers: Sequence[tuple[str, str]],
    ) -> Answer:
        timeout = self._settings.timeout
        shown = self._settings.shown(url)
        try:
            return client.request(method, url, self._headers(headers), body, timeout)
        except TimeoutError as error:
            raise Retry(f"{shown}: no answer within {timeout:g} s") from error
        except ssl.SSLError as error:
            raise Retry(f"{shown}: TLS: {self._clean(str(error), 160)}{_cure(error)}") from error
        except socket.gaierror as error:
            cause = f"the name cannot be resolved ({error.strerror})"
            raise Retry(f"{shown}: {cause}") from error
        except OSError as error:
            cause = self._clean(error.strerror or str(error), 160)
            raise Retry(f"{shown}: {cause}") from error

    def _headers(self, more: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        given = {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        authorization = self._settings.authorization()
        if authorization is not None:
            given["Authorization"] = authorization
        named = {name.lower() for name in given}
        ours = [(name, value) for name, value in _HEADERS.items() if name.lower() not in named]
        return [*ours, *given.items(), *more]


def _cure(error: ssl.SSLError) -> str:
    """Name the setting that decides."""
    reason = error.reason or ""
    if "ALERT" in reason:  # it is the receiver that refuses
        return " (see tls.cert_file)"
    if "WRONG_VERSION" in reason or "RECORD_LAYER" in reason:
        return " (is it http:// rather than https://?)"
    return " (see tls.ca_file)" if "VERIFY" in reason else ""
