"""Every error of librdkafka and of a broker becomes one of ours."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from bridge.errors import Reject, Retry
from bridge.sinks.base import NotConnected
from bridge.sinks.kafka_errors import is_refusal, spares_the_producer, translate

CODES = {
    name: value
    for name in dir(KafkaError)
    if name.isupper() and isinstance(value := getattr(KafkaError, name), int)
}


def test_the_library_has_errors_to_translate() -> None:
    """The other tests walk its table, and would pass on an empty one."""
    assert len(CODES) > 100


@pytest.mark.parametrize("name", sorted(CODES))
def test_each_error_is_translated_with_its_topic_and_reason(name: str) -> None:
    """None slips through, and none is without words."""
    error = KafkaError(CODES[name])

    found = translate(error, "orders", "connection refused")

    assert isinstance(found, Retry | Reject)
    assert "topic orders: " in str(found)
    assert error.str()[:100] in str(found)
    if isinstance(found, Reject):
        assert is_refusal(error)
    else:
        assert isinstance(found, NotConnected) is not spares_the_producer(error)


def test_a_time_out_is_explained_by_what_was_last_heard() -> None:
    """`Local: Message timed out` tells an operator nothing."""
    found = translate(KafkaError(KafkaError._MSG_TIMED_OUT), "t", "Connection refused")

    assert str(found).endswith("Connection refused")


def test_only_content_is_rejected() -> None:
    """A missing topic or a refused login waits for its operator."""
    rejected = {
        name for name in CODES if isinstance(translate(KafkaError(CODES[name]), "t"), Reject)
    }

    assert rejected == {
        "MSG_SIZE_TOO_LARGE",
        "INVALID_MSG_SIZE",
        "RECORD_LIST_TOO_LARGE",
        "INVALID_RECORD",
        "INVALID_TIMESTAMP",
        "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    }


def test_a_fatal_error_is_never_the_events_fault() -> None:
    """It is the producer that is beyond help."""
    error = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "broken", True)

    assert isinstance(translate(error, "t"), NotConnected)
