"""What receives and what hands on: the polling thread and the intake behind it, made to fit."""

from __future__ import annotations

from collections.abc import Callable

from bridge.loop import Loop
from bridge.monitor.intake import MAX_QUEUED_BYTES, Emit, Intake
from bridge.monitor.route import Route
from bridge.monitor.subscriber import Subscriber


class Capture:
    """Takes in what is published, for the service and for the library.

    Args:
        emit: takes entries and marks, and returns once they are safe.
        suspect: called when a channel was lost or connects, or a frame did not fit its layout.
        linger: seconds that a steady trickle is gathered for; what comes first does not wait.
        max_bytes: what may be queued.

    Attributes:
        intake: makes entries of what arrives, and emits them.
        subscriber: owns the sockets.
    """

    def __init__(
        self,
        emit: Emit,
        suspect: Callable[[], None],
        *,
        linger: float = 0.005,
        max_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        self.intake = Intake(emit, suspect, linger=linger, max_bytes=max_bytes)
        self.subscriber: Subscriber[Route] = Subscriber(
            self.intake.put, suspect, self.intake.room, linger=linger
        )

    @property
    def loops(self) -> list[Loop]:
        """The threads."""
        return [*self.intake.loops, *self.subscriber.loops]

    def start(self) -> None:
        """Start the threads."""
        self.intake.start()
        self.subscriber.start()

    def pace(self, linger: float) -> None:
        """Gather a steady trickle for so many seconds from now on."""
        self.intake.pace(linger)
        self.subscriber.pace(linger)
