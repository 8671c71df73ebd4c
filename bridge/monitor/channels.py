"""All channels of the polling thread, and how it waits for them and for whoever asks for it."""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Collection, Iterator

import zmq

from bridge.monitor.channel import Channel, open_channel

MAX_TOPICS = 64


class Channels:
    """Opens, waits for and closes channels. Used by one thread; any may call `nudge`."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._channels: list[Channel] = []
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ, (None, False))

    def nudge(self) -> None:
        """End the wait that runs, or the next one."""
        # A full pipe wakes as well, and one that is closed has nobody to wake.
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")

    def __iter__(self) -> Iterator[Channel]:
        return iter(tuple(self._channels))

    def pick(
        self, endpoint: str, topics: Collection[bytes], beside: Channel | None = None
    ) -> Channel:
        """Return the channel that topics go to: the one given, one with room, or a new one.

        Raises:
            ZMQError: the one given is closed, or a new one cannot be opened.
        """
        if beside is not None:
            if beside.line.closed:
                raise zmq.ZMQError(zmq.ENOTSOCK)
            return beside
        for channel in self._channels:
            if channel.endpoint == endpoint and (
                len(channel.topics) + len(topics) <= MAX_TOPICS or channel.topics.issuperset(topics)
            ):
                return channel
        return self._open(endpoint)

    def _open(self, endpoint: str) -> Channel:
        channel = open_channel(self._context, endpoint)
        self._channels.append(channel)
        received, told = channel.descriptors
        self._selector.register(received, selectors.EVENT_READ, (channel, False))
        self._selector.register(told, selectors.EVENT_READ, (channel, True))
        channel.note_events()  # libzmq signals only to who has once found nothing
        return channel

    def shut(self, channel: Channel) -> None:
        """Close a channel."""
        self._channels.remove(channel)
        for descriptor in channel.descriptors:
            self._selector.unregister(descriptor)
        channel.close()

    def shut_unused(self, endpoint: str) -> None:
        """Close the channels of an endpoint that have no topics."""
        for channel in self:
            if channel.endpoint == endpoint and not channel.topics:
                self.shut(channel)

    def wait(self, seconds: float) -> tuple[set[Channel], set[Channel]]:
        """Wait until something happens.

        Returns:
            The channels on which it did, and those of them whose socket monitor has something to
            say; none where somebody nudged.
        """
        due: set[Channel] = set()
        told: set[Channel] = set()
        for key, _ in self._selector.select(seconds):
            channel, monitor = key.data
            if channel is None:
                with contextlib.suppress(BlockingIOError):
                    while self._woken.recv(4096):
                        pass
                continue
            due.add(channel)
            if monitor:
                told.add(channel)
        return due, told

    def close(self) -> None:
        """Close everything."""
        for channel in self:
            self.shut(channel)
        self._selector.close()
        self._context.destroy(linger=0)
        self._wake.close()
        self._woken.close()
