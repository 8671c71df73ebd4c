"""The brokers that librdkafka has inside for tests: real sockets, and errors on request.

Its functions are not in the Python client; they are called in the library that the client
carries.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Self

import confluent_kafka

PRODUCE = 0  # the API key of a produce request


class MockKafka:
    """A cluster of one broker; a context manager. Topics are created when first used."""

    def __init__(self) -> None:
        self._library = _library()
        self._client = self._cluster = None

    def __enter__(self) -> Self:
        library = self._library
        configuration = library.rd_kafka_conf_new()
        error = ctypes.create_string_buffer(256)
        # A client of its own carries it, and speaks to nobody.
        self._client = library.rd_kafka_new(0, configuration, error, 256)
        if not self._client:
            raise RuntimeError(error.value.decode())
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return str(self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode())

    def answer_produce_with(self, *errors: int) -> None:
        """Answer the next produce requests with these errors."""
        array = (ctypes.c_int * len(errors))(*errors)
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, PRODUCE, len(errors), array
        )

    def close_topic(self, topic: str, error: int) -> None:
        """Answer whoever asks for a topic with an error."""
        self._library.rd_kafka_mock_topic_set_error(self._cluster, topic.encode(), error)

    def take_leader(self, topic: str) -> None:
        """Leave a topic's first partition without a leader; the topic is created."""
        self._library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), 1, 1)
        self._library.rd_kafka_mock_partition_set_leader(self._cluster, topic.encode(), 0, -1)

    def stop(self) -> None:
        """Close its port."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, 1)

    def start(self) -> None:
        """Open it again."""
        self._library.rd_kafka_mock_broker_set_up(self._cluster, 1)

    def answer_after(self, milliseconds: int) -> None:
        """Answer late."""
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, 1, milliseconds)


def _library() -> ctypes.CDLL:
    package = Path(confluent_kafka.__file__).parent
    carried = [*package.with_name("confluent_kafka.libs").glob("librdkafka*"), *_beside(package)]
    library = ctypes.CDLL(str(carried[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_push_request_errors_array": (
            None,
            [pointer, ctypes.c_int16, ctypes.c_size_t, pointer],
        ),
        "rd_kafka_mock_topic_set_error": (None, [pointer, text, number]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_partition_set_leader": (
            number,
            [pointer, text, ctypes.c_int32, ctypes.c_int32],
        ),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_rtt": (number, [pointer, ctypes.c_int32, number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _beside(package: Path) -> list[Path]:
    return [path for path in package.rglob("librdkafka*") if path.is_file()]
