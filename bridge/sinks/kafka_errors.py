"""What an error of librdkafka or of a broker means for the event that met it.

Three kinds: the broker looked at the content and refuses it (for good); one topic cannot be
written now; or the cluster cannot. Source: librdkafka's `rdkafka.h`, the Kafka protocol's table
of error codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

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
# The sink knows by itself that it can never be written.
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
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

# Another producer has taken over our transactional id; or a broker has ended our transaction.
FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
)

_CURES = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create it, or let the broker create topics",
    KafkaError._UNKNOWN_TOPIC: "create it, or let the broker create topics",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant Write on it to the bridge's user",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant IdempotentWrite to the bridge's user",
    KafkaError.NOT_ENOUGH_REPLICAS: "fewer replicas are in sync than min.insync.replicas asks",
    KafkaError.SASL_AUTHENTICATION_FAILED: "mend sasl.username and sasl.password in options",
    KafkaError._AUTHENTICATION: "mend the credentials in options",
}


class Fenced(NotConnected):
    """Our producer may write no more under its transactional id."""


@contextmanager
def broken(what: str, cause: str = "", clean: Callable[[str], str] = str) -> Iterator[None]:
    """Raise what a call to a producer raises as `Fenced` or `NotConnected`.

    The client raises a fatal error out of whatever call serves its callbacks; where another
    callback follows, the interpreter turns it into a `SystemError`.

    Args:
        what: what could not be done.
        cause: what was last heard of the connections, where the error itself says little.
        clean: takes the secrets out of foreign text.
    """
    try:
        yield
    except (KafkaException, SystemError) as exception:
        inner = exception if isinstance(exception, KafkaException) else exception.__cause__
        if not isinstance(inner, KafkaException):
            raise
        error = inner.args[0]
        said = clean(error.str())
        if cause and not error.fatal():
            said += f": {clean(cause)}"
        answer = f"{error.name()} {said}" if error.code() > 0 else None
        kind = Fenced if error.code() in FENCED else NotConnected
        raise kind(f"{what}: {said}", answer=answer) from exception


def is_refusal(error: KafkaError) -> bool:
    """Tell whether the broker looked at the content and refuses it, or something beside it."""
    return error.code() in _REFUSED or error.code() in _REFUSED_WITH


def late_among(refused: Mapping[int, KafkaError], *, known: bool) -> set[int]:
    """Return the offsets of events that the broker finds too old or too new.

    Of one such event in a request librdkafka says so for all of its companions too, and of
    several only that they are invalid.

    Args:
        refused: the errors by offset.
        known: whether such an event was found in this batch, so that invalid ones are taken for
            more of them.
    """
    if len(refused) == 1 or known:
        sought = KafkaError.INVALID_TIMESTAMP if len(refused) == 1 else KafkaError.INVALID_RECORD
        return {offset for offset, error in refused.items() if error.code() == sought}
    return set()


def is_of_topic(error: KafkaError) -> bool:
    """Tell whether one topic is missing or closed to us."""
    return error.code() in _TOPIC and not error.fatal()


def as_retry(error: Retry | Reject) -> Retry:
    """Return the error as one after which the same is sent again."""
    if isinstance(error, Retry):
        return error
    return Retry(str(error), answered=True, answer=error.answer)


def spares_the_producer(error: KafkaError) -> bool:
    """Tell whether the producer goes on as before: the error concerns a message or a topic.

    After any other, a time-out above all, an idempotent producer may have given up a message
    whose fate it does not know, and a new one has to take over.
    """
    return not error.fatal() and (is_refusal(error) or error.code() in _TOPIC)


def translate(
    error: KafkaError,
    topic: str,
    cause: str = "",
    clean: Callable[[str], str] = str,
) -> Retry | Reject:
    """Return what to tell the engine.

    Args:
        error: what librdkafka reported for a message.
        topic: where the message was to go.
        cause: what was last heard of the connections, where the error itself says only that
            time ran out.
        clean: takes the secrets out of foreign text.
    """
    code = error.code()
    said = clean(error.str())
    text = f"topic {topic}: {said}"
    if code in _CURES:
        text += f" ({_CURES[code]})"
    elif cause:
        text += f": {clean(cause)}"
    # Errors of the client's own are negative.
    answer = f"{error.name()} {said}" if code > 0 else None
    if code in _REFUSED and not error.fatal():
        return Reject(text, certain=code in _TOO_LARGE, answer=answer)
    if spares_the_producer(error):
        return Retry(text, answer=answer)
    kind = Fenced if code in FENCED else NotConnected
    return kind(text, answered=code in _SUSPECT, answer=answer)
