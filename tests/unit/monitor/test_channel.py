"""What is known of a connection: since when it may have been dead, however often it was lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import zmq

from bridge.monitor.channel import HEARTBEAT_HORIZON, Channel, open_channel
from bridge.monitor.moment import NEVER, Moment


def at(seconds: float) -> Moment:
    return Moment(seconds, 1000.0 + seconds)


@pytest.fixture
def channel() -> Iterator[Channel]:
    """A channel whose peer is nobody."""
    with zmq.Context() as context:
        made = open_channel(context, "tcp://127.0.0.1:9")
        yield made
        made.close()


def connect(channel: Channel, seconds: float) -> None:
    channel.line = channel.line._replace(connected_at=at(seconds))


def test_of_several_losses_the_first_unseen_one_counts(channel: Channel) -> None:
    """Lost, back and lost again between two looks: what lay between the two is missed as well."""
    connect(channel, 0.0)
    channel.note_drained(at(10.0), 1, empty=True)
    channel.note_drained(at(11.0), 1, empty=True)
    channel.lose(at(12.0))
    connect(channel, 13.0)
    channel.lose(at(14.0))

    assert channel.line.missed_since(0) == at(10.0)
    assert channel.line.missed_since(1) == at(13.0)
    assert channel.line.missed_since(2) is None


def test_who_lost_count_is_told_so(channel: Channel) -> None:
    """Only the latest losses are remembered one by one."""
    for n in range(300):
        connect(channel, float(n))
        channel.lose(at(n + 0.5))

    assert channel.line.missed_since(0) is NEVER
    assert channel.line.missed_since(299) == at(299.0)


def test_an_empty_look_at_the_socket_proves_nothing_of_the_connection(channel: Channel) -> None:
    """It may have been dead since its last heartbeat."""
    connect(channel, 0.0)
    for second in range(1, 40):
        channel.note_drained(at(float(second)), 0, empty=True)
    channel.lose(at(40.0))

    assert channel.line.missed_since(0) == at(40.0 - HEARTBEAT_HORIZON)


def test_a_message_proves_the_connection_up_to_the_last_empty_look(channel: Channel) -> None:
    """It came after that; when it was sent is not known."""
    connect(channel, 0.0)
    channel.note_drained(at(39.0), 0, empty=True)
    channel.note_drained(at(39.5), 3, empty=False)
    channel.lose(at(40.0))

    assert channel.line.missed_since(0) == at(39.0)
