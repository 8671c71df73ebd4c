"""What an error of librdkafka or of a broker means for the event that met it.

Three kinds: the broker looked at the content and refuses it (for good); one topic cannot be
written now; or the cluster cannot. Source: librdkafka's `rdkafka.h`, the Kafka protocol's table
of error codes.
"""

from __future__ import annotations

from confluent_kafka import KafkaError

from bridge.sinks.base import NotConnected, Reject, Retry

# The broker read the message and will not take it, now or later.
_REFUSED = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)
# Its companions in one request, none of which was written though nothing is wrong with them.
_REFUSED_WITH = frozenset({KafkaError._INVALID_DIFFERENT_RECORD})

# One topic is missing or closed to us; the producer is as good as before.
_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)
# The broker answered without saying what it made of the message: it may be the message.
_SUSPECT = frozenset({KafkaError.INVALID_MSG, KafkaError.UNKNOWN})

_CURES = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create it, or let the broker create topics",
    KafkaError._UNKNOWN_TOPIC: "create it, or let the broker create topics",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant Write on it to the bridge's user",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant IdempotentWrite to the bridge's user",
    KafkaError.NOT_ENOUGH_REPLICAS: "fewer replicas are in sync than min.insync.replicas asks",
    KafkaError.SASL_AUTHENTICATION_FAILED: "mend sasl.username and sasl.password in options",
    KafkaError._AUTHENTICATION: "mend the credentials in options",
}


def is_refusal(error: KafkaError) -> bool:
    """Tell whether the broker looked at the content and refuses it, or something beside it."""
    return error.code() in _REFUSED or error.code() in _REFUSED_WITH


def spares_the_producer(error: KafkaError) -> bool:
    """Tell whether the producer goes on as before: the error concerns a message or a topic.

    After any other, a time-out above all, an idempotent producer may have given up a message
    whose fate it does not know, and a new one has to take over.
    """
    return not error.fatal() and (is_refusal(error) or error.code() in _TOPIC)


def translate(error: KafkaError, topic: str, cause: str = "") -> Retry | Reject:
    """Return what to tell the engine.

    Args:
        error: what librdkafka reported for a message.
        topic: where the message was to go.
        cause: what was last heard of the connections, where the error itself says only that
            time ran out.
    """
    code = error.code()
    text = f"topic {topic}: {error.str()}"
    if code in _CURES:
        text += f" ({_CURES[code]})"
    elif cause:
        text += f": {cause}"
    if code in _REFUSED and not error.fatal():
        return Reject(text)
    if spares_the_producer(error):
        return Retry(text)
    return NotConnected(text, answered=code in _SUSPECT)
