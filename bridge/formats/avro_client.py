"""A schema registry as confluent-kafka's own client asks it, its errors in our words.

Imported only where a registry is used: the client brings half a second of imports.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from bridge.errors import Retry, excerpt
from bridge.foreign import Cleaner
from bridge.formats.avro_registry import Away
from bridge.formats.registry_settings import SchemaRegistry

_ANSWER = 2048  # characters of what the registry says are kept
# Answers that say nothing about the schema: who we are, where it is, that it is busy.
_NOT_NOW = frozenset({401, 403, 404, 405, 407, 408, 425, 429})
_ABSENT = frozenset({40401, 40402, 40403})  # no such subject, version, schema
_MOST_ID = 2**32 - 1
_HINTS = {401: "see username and password", 404: "is its url right?"}


class Client:
    """Asks a registry.

    Args:
        settings: where it is, and who we are there.
    """

    def __init__(self, settings: SchemaRegistry) -> None:
        self._settings = settings
        password = settings.password.get_secret_value() if settings.password else None
        self._login = None if password is None else f"{settings.username}:{password}"
        self._clean = Cleaner([password, self._login])
        self._client: SchemaRegistryClient | None = None
        self._close: Callable[[], object] = lambda: None

    def id_of(self, subject: str, text: str) -> int:
        """Return the number of a schema, which is registered if the settings say so.

        Raises:
            Away: the registry does not answer, or not as one does.
            Retry: it refuses the schema.
        """
        schema, normalize = Schema(text, "AVRO"), self._settings.normalize
        with self._errors(subject):
            client = self._connected()
            if self._settings.auto_register:
                number: Any = client.register_schema(subject, schema, normalize_schemas=normalize)
            else:
                number = client.lookup_schema(subject, schema, normalize).schema_id
            if not isinstance(number, int) or not 0 <= number <= _MOST_ID:
                raise ValueError("its answer has no id of a schema")
            return number

    def check(self, subject: str, text: str) -> str:
        """Say what would become of a schema, and register nothing; raises as `id_of`."""
        schema, normalize = Schema(text, "AVRO"), self._settings.normalize
        with self._errors(subject):
            client = self._connected()
            try:
                number = client.lookup_schema(subject, schema, normalize).schema_id
            except SchemaRegistryError as error:
                if not self._settings.auto_register or error.error_code not in _ABSENT:
                    raise
            else:
                return f"{subject} has its schema, id {number}"
            try:
                fits = client.test_compatibility(subject, schema, normalize=normalize)
            except SchemaRegistryError as error:
                if error.error_code not in _ABSENT:
                    raise
                return f"{subject} is not there yet and would be made"
            if fits:
                return f"{subject} would take its schema as a new version"
        raise Retry(
            f"{self._where} would refuse the schema of {subject}: it is not compatible with the "
            "version that is there"
        )

    @property
    def _where(self) -> str:
        return self._settings.name

    def _connected(self) -> SchemaRegistryClient:
        # Made once: reading the certificates to trust takes longer than a call.
        client = self._client
        if client is None:
            client = self._client = SchemaRegistryClient(self._configuration())
            # No format is told that it is over; and `close` is younger than what we ask for.
            self._close = weakref.finalize(self, client.__exit__)
        return client

    def _begin_anew(self) -> None:
        """Let the next call read all files again: one of them may have been what was wrong."""
        self._client = None
        self._close()

    def _configuration(self) -> dict[str, object]:
        tls = self._settings.tls
        wanted = {
            "url": self._settings.url,
            "basic.auth.user.info": self._login,
            "ssl.ca.location": tls.ca_file and str(tls.ca_file),
            "ssl.certificate.location": tls.cert_file and str(tls.cert_file),
            "ssl.key.location": tls.key_file and str(tls.key_file),
            "timeout": self._settings.timeout,
            "max.retries": 0,  # whoever waits tries again
        }
        return {name: value for name, value in wanted.items() if value is not None}

    @contextmanager
    def _errors(self, subject: str) -> Iterator[None]:
        try:
            yield
        except SchemaRegistryError as error:
            raise self._answered(error, subject) from None
        except Exception as error:  # noqa: BLE001 (of HTTP, TLS, or an answer that is no JSON)
            self._begin_anew()
            cause = self._clean(str(error)) or type(error).__name__
            raise Away(f"no answer from {self._where}: {cause}") from None

    def _answered(self, error: SchemaRegistryError, subject: str) -> Retry:
        status = error.http_status_code
        words = self._clean(str(error.error_message), _ANSWER)
        answer = excerpt(f"{status} {words}", _ANSWER)
        if error.error_code in _ABSENT:
            said = f"{self._where} has no such schema of {subject}, and auto_register is false"
            return Retry(f"{said}: {words}", answer=answer)
        if status in _NOT_NOW or not 400 <= status < 500:
            hint = f" ({_HINTS[status]})" if status in _HINTS else ""
            return Away(f"{self._where} answers {status}{hint}: {words}", answer=answer)
        said = f"{self._where} refuses the schema of {subject} with {status}"
        return Retry(f"{said}: {words}", answer=answer)
