"""Events to an HTTP receiver: one POST a batch, the body always a JSON array.

Delivered means answered with 2xx. With a secret each request is signed after Standard
Webhooks; `webhook-id` names the batch and stays the same over its retries, so that a receiver
can drop what it has already seen.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

import requests
import structlog
import urllib3
from requests.auth import AuthBase

import bridge
from bridge.errors import excerpt
from bridge.sinks.base import Batch, Retry, Sink, SinkSettings
from bridge.sinks.signing import sign
from bridge.sinks.webhook_answers import judge, root_cause
from bridge.sinks.webhook_settings import WebhookSettings

_MOST_OF_AN_ANSWER = 4096  # bytes read of its body; after more the connection is not kept

_log = structlog.get_logger(__name__)


class WebhookSink(Sink):
    """Posts each batch to one address.

    Retried: no connection, no answer in time, 408, 425, 429 and 5xx; as well 3xx, 401, 403,
    404, 405, 407 and 410, which say that the configuration is wrong and not the events.
    Rejected: every other answer; the engine then finds out which event is to blame.
    """

    Settings: ClassVar[type[SinkSettings]] = WebhookSettings
    keyed: ClassVar[bool] = False

    def __init__(self, settings: WebhookSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = settings.signing_keys()
        self._place = settings.public_url()
        self._session: requests.Session | None = None

    def open(self) -> None:
        """Make ready to post; the connection is made with the first batch, and kept."""
        if not self._settings.tls.verify:
            # Said once here, where the library would say it at every request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
            _log.warning("webhook_certificate_not_verified", url=self._place)
        self._session = self._new_session()

    def deliver(self, batch: Batch) -> None:
        """Post the events and return if the receiver answers 2xx."""
        if self._session is None:
            self.open()
        assert self._session is not None  # noqa: S101 (tells mypy what open has done)
        body = b"[%b]" % b",".join([event.value for event in batch])
        headers = self._signature(f"{batch[0].id}-{len(batch)}", body) if self._keys else {}
        status, answer, text = self._request(self._session, "POST", body, headers)
        error = judge(status, answer, text, datetime.fromtimestamp(self._clock(), UTC))
        if error is not None:
            error.args = (f"{self._place} {error.args[0]}",)
            raise error

    def check(self) -> None:
        """Ask for the address with HEAD: any answer shows that the receiver is there.

        Its status says little, since few receivers know HEAD; but where credentials are
        configured, a refusal of them is reported.
        """
        with self._new_session() as session:
            status, _, _ = self._request(session, "HEAD", None, {})
        with_credentials = _authorization(self._settings) is not None
        if status == 407 or (with_credentials and status in {401, 403}):
            error = judge(status, {}, "", datetime.now(UTC))
            raise Retry(f"{self._place} {error}")

    def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _new_session(self) -> requests.Session:
        session = requests.Session()
        session.auth = _Authorization(_authorization(self._settings))
        session.headers.update(
            {
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
                "User-Agent": f"kinetica-bridge/{bridge.__version__}",
            }
        )
        session.headers.update(
            {name: value.get_secret_value() for name, value in self._settings.headers.items()}
        )
        return session

    def _signature(self, message_id: str, body: bytes) -> dict[str, str]:
        timestamp = int(self._clock())
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._keys, message_id, timestamp, body),
        }

    def _request(
        self, session: requests.Session, method: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, requests.structures.CaseInsensitiveDict[str], str]:
        tls, timeout = self._settings.tls, self._settings.timeout
        deadline = time.monotonic() + timeout
        try:
            with session.request(
                method,
                self._settings.url,
                data=body,
                headers=headers,
                timeout=timeout,
                # Given with each request: else REQUESTS_CA_BUNDLE would overrule it.
                verify=str(tls.ca_file) if tls.verify and tls.ca_file else tls.verify,
                allow_redirects=False,
                stream=True,
            ) as answer:
                return answer.status_code, answer.headers, _beginning(answer, deadline)
        except requests.Timeout as error:
            raise Retry(f"{self._place}: no answer within {timeout:g} s") from error
        except requests.exceptions.SSLError as error:
            cause = excerpt(root_cause(error), 160)
            raise Retry(f"{self._place}: TLS: {cause} (see tls.ca_file)") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Retry(f"{self._place}: {excerpt(root_cause(error), 160)}") from error


class _Authorization(AuthBase):
    """Sets one `Authorization`, or none: with it in place `~/.netrc` is not consulted."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._value is not None:
            request.headers["Authorization"] = self._value
        return request


def _authorization(settings: WebhookSettings) -> str | None:
    if settings.bearer_token is not None:
        return f"Bearer {settings.bearer_token.get_secret_value()}"
    if not settings.username:
        return None
    password = settings.password.get_secret_value() if settings.password else ""
    credentials = f"{settings.username}:{password}".encode()
    return f"Basic {base64.b64encode(credentials).decode()}"


def _beginning(answer: requests.Response, deadline: float) -> str:
    """Read an answer's body, so that the connection can be kept, but neither much nor for long.

    The status line has said what matters: a body that breaks off changes nothing.
    """
    read = bytearray()
    try:
        for byte in answer.iter_content(1):  # one at a time: no read waits for more than one
            read += byte
            if len(read) >= _MOST_OF_AN_ANSWER or time.monotonic() > deadline:
                break
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        pass
    return read.decode("utf-8", "replace")
