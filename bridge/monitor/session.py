"""One run of a client, from its start to its end: the parts of the core, wired for callbacks.

The service wires the same parts to its journal. Here the intake emits to the callbacks. A
thread of the session's own waits for the end, whoever asks for it (the program, a callback, a
dropped table), and takes the parts down, since no thread can wait for its own end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from bridge.errors import BridgeError
from bridge.events import Entry, Schema
from bridge.monitor.address import Address
from bridge.monitor.callbacks import Callback
from bridge.monitor.capture import Capture
from bridge.monitor.dispatch import TROUBLE, Dispatcher
from bridge.monitor.mark import Mark, Post
from bridge.monitor.moment import Moment
from bridge.monitor.naming import prefix
from bridge.monitor.owner import Claims, left_behind, name_instance
from bridge.monitor.probe import Monitors
from bridge.monitor.second_try import SecondTry
from bridge.monitor.states import Signal, State
from bridge.monitor.table import TableMonitor
from bridge.monitor.table_options import TableOptions
from bridge.monitor.watch import Watch, WatchOptions

log = structlog.get_logger()

# A table's reason until the first call about it was answered.
_NOTHING_YET = "starting"
_WELL = (State.LIVE, State.IDLE)
# Instances that clients of this process have, each with a cluster where it has it.
_claims = Claims()
# Of the time that `stop` has, what goes to clearing the monitors on the server at most.
_CLEARING_SHARE = 0.5


class NotLive(BridgeError):
    """The monitoring could not be started: the message says what is in the way."""


class MonitoringAborted(BridgeError):
    """The monitoring ended by itself: a record did not decode, and ABORT was asked for."""


class _Table(TableMonitor):
    """A table's monitor that tells when its state, or the reason for it, is another one."""

    def __init__(
        self, options: TableOptions, post: Post, hold: float, changed: Callable[[], None]
    ) -> None:
        super().__init__(options, post, hold=hold)
        self._tell = changed

    def signal(self, signal: Signal, reason: str | None = None) -> State:
        before = self.state, self.reason
        state = super().signal(signal, reason)
        if (self.state, self.reason) != before:
            self._tell()
        return state


class Session:
    """The running parts of one client. All methods may be called from any thread.

    Args:
        address: where the clusters are.
        table: what to watch; `given_name` is what the program calls it.
        callbacks: whom to tell.
        options: how to watch the clusters.
        instance: a name by which the next run finds the monitors of this one; None for no name.
    """

    def __init__(
        self,
        address: Address,
        table: TableOptions,
        given_name: str,
        callbacks: Sequence[Callback],
        options: WatchOptions,
        instance: str | None = None,
    ) -> None:
        self._given_name = given_name
        self._instance = name_instance(instance, table.name)
        self._named = instance
        self._claim = frozenset[object]((self._instance, url) for url in address.urls)
        self._claimed = False
        self._ring = address.make_ring()
        self._dispatcher = Dispatcher(
            given_name, callbacks, SecondTry(self._present_layout), self._end_by_itself
        )
        self._capture = Capture(self._emit, self._suspect)
        self._intake = self._capture.intake
        self.table = _Table(table, self._intake.post, options.probe_interval, self._note_state)
        self._watch = Watch(
            self._ring,
            [self.table],
            self._capture.subscriber,
            self._instance,
            options,
            arrived=self._look_at_what_is_left,
        )
        self._looked = False
        # Guards all below, and is notified when any of it changes.
        self._changed = threading.Condition()
        self._was_live = False
        self._ending = False
        self._stop_by = 0.0
        self._over = False
        self.aborted: str | None = None
        self._teller: threading.Thread | None = None
        # Not a daemon: a program whose main thread is done goes on while it monitors.
        self._keeper = threading.Thread(target=self._keep, name="table-monitor", daemon=False)

    @property
    def cluster(self) -> str:
        """The URL of the cluster in use."""
        return self._watch.cluster

    @property
    def running(self) -> bool:
        """Whether it was live and has not ended."""
        return self._was_live and not self._ending

    @property
    def ending(self) -> bool:
        """Whether its end was asked for."""
        return self._ending

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._over

    def start(self) -> None:
        """Start the threads; `await_live` tells what comes of it.

        Raises:
            NotLive: another session of this process has its name for the table.
        """
        self._claimed = _claims.claim(self._claim)
        try:
            if not self._claimed:
                text = f"the instance {self._named!r} is that of another client that runs here"
                raise NotLive(f"{self._given_name} cannot be monitored: {text}")  # noqa: TRY301
            self._keeper.start()
            self._capture.start()
            self._watch.start()
        except BaseException:  # no further thread can be started, say
            self._ask_to_end(time.monotonic())
            if self._keeper.ident is None:
                self._keep()
            raise

    def abandon(self) -> None:
        """Let go of what a fork has copied: it is the parent's, and its threads are not here."""
        self._dispatcher.silence()  # should the fork have been made by a callback
        _claims.forget()

    def await_live(self, patience: float) -> None:
        """Wait until nothing that happens to the table is missed any more.

        Raises:
            NotLive: not within `patience` seconds, or there is no such table.
        """
        deadline = time.monotonic() + patience
        with self._changed:
            while not (self._was_live or self._ending):
                left = deadline - time.monotonic()
                if left <= 0 or self.table.state is State.WAITING_FOR_TABLE:
                    break
                self._changed.wait(left)
            if self._was_live:
                return
            reason = self.table.reason
            if self._ending:
                reason = "stopped before it was live"
            elif self.table.state is not State.WAITING_FOR_TABLE:
                if reason == _NOTHING_YET:
                    reason = f"{self.cluster} has not answered yet"
                reason = f"{reason} (tried for {patience:g} s)"
        raise NotLive(f"{self._given_name} cannot be monitored: {reason}")

    def stop(self, timeout: float) -> bool:
        """End within about `timeout` seconds; may be called any number of times.

        From one of its own callbacks it returns at once, and no callback is called any more.
        From elsewhere it waits until all that was received has been told.

        Returns:
            Whether it has ended; False from a callback, or where a callback takes too long.
        """
        in_callback = threading.current_thread() is self._teller
        if in_callback:
            self._dispatcher.silence()
        self._ask_to_end(time.monotonic() + timeout)
        return not in_callback and self.wait(timeout)

    def wait(self, timeout: float | None) -> bool:
        """Wait until it has ended, `timeout` seconds at most; False if it has not.

        From one of its own callbacks it returns at once, as that has to end first.
        """
        if threading.current_thread() is self._teller:
            return self._over
        with self._changed:
            return self._changed.wait_for(lambda: self._over, timeout)

    # What the parts call, each from its own thread.

    def _emit(self, entries: Sequence[Entry], marks: Mapping[str, str]) -> None:
        self._teller = threading.current_thread()
        self._dispatcher.emit(entries, marks)

    def _suspect(self) -> None:
        self._watch.wake()

    def _present_layout(self) -> Schema | None:
        found = self._ring.current.table(self.table.name)
        return None if found is None else found.schema

    def _note_state(self) -> None:
        table = self.table
        state, reason = table.state, table.reason
        with self._changed:
            well = state in _WELL
            told = self._was_live and not well and not table.over and reason is not None
            self._was_live = self._was_live or well
            self._changed.notify_all()
        if told:
            self._tell_trouble(f"{state.replace('_', ' ')}: {reason}")

    def _tell_trouble(self, what: str) -> None:
        # Named by itself: what comes again and again while a callback runs waits once.
        self._intake.post(Mark(f"{TROUBLE}{what}", f"{self._given_name}: {what}"))

    def _look_at_what_is_left(self, found: Monitors) -> list[str]:
        """Say what an earlier run has left on a cluster; return what nobody has any more."""
        looked, self._looked = self._looked, True
        mine = prefix(self._instance, self.table.name)
        if not looked and any(name.startswith(mine) for name in found.ids):
            self._tell_trouble(
                f"an earlier run as {self._named!r} was not stopped, or runs still: what happened "
                f"since it ended was not told"
            )
        return [found.ids[name] for name in left_behind(found.ids)]

    def _end_by_itself(self, reason: str | None) -> None:
        self.aborted = reason
        if reason is not None:
            self.table.signal(Signal.ABORT, reason)
        self._ask_to_end(time.monotonic() + 10)

    def _ask_to_end(self, by: float) -> None:
        with self._changed:
            if not self._ending:
                self._ending, self._stop_by = True, by
            self._changed.notify_all()

    # The keeper's thread: waits for the end, and makes it.

    def _keep(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ending)
        try:
            self._take_down()
        finally:
            if self._claimed:
                _claims.release(self._claim)
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _take_down(self) -> None:
        self._watch.stop(_left(self._stop_by) * _CLEARING_SHARE)
        self._capture.subscriber.stop()
        gaps, now = self.table.gaps, Moment.now()
        gaps.end_overrun()
        gaps.end(now, self.cluster)  # what may be missing at the end is told as well
        gaps.settle(now, self.cluster, None, force=True)
        if not self._intake.stop(_left(self._stop_by)):
            # The callback that runs is left alone; what it has not been told is not told.
            self._dispatcher.silence()
            log.warning(
                "stopped_with_a_callback_running",
                table=self.table.name,
                bytes_not_told=self._intake.queued_bytes,
            )


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
