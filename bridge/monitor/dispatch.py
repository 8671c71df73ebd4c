"""From entries to callbacks: what the library does where the service writes its journal.

`Dispatcher.emit` runs in the intake's thread, so every callback does, one at a time and in the
order in which things happened. Whatever a callback raises is told to its error callback and
the log, and changes nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import structlog

from bridge.errors import excerpt
from bridge.events import Alter, Block, Count, Drop, Entry, Gap, Undecodable, rfc3339
from bridge.monitor.callbacks import Callback, CallbackType, EventCallback
from bridge.monitor.records import chunks, compile_schema
from bridge.monitor.second_try import SecondTry

log = structlog.get_logger()

# The marks of a state that the error callbacks must hear of begin like this.
TROUBLE = "trouble/"

# A callback that raises is logged the first time and then every so many times.
_LOGGED_EVERY = 1000

# Records decoded ahead of the callbacks, so that a slow one holds few dicts in memory.
_DECODED_AHEAD = 500


class Dispatcher:
    """Tells the callbacks of one table.

    Args:
        table: the table's name as the program gave it: what it is told.
        callbacks: all of them.
        second_try: decodes what did not fit the layout it came under.
        ended: called when nothing more will be told: the reason, None where the table was dropped.
    """

    def __init__(
        self,
        table: str,
        callbacks: Sequence[Callback],
        second_try: SecondTry,
        ended: Callable[[str | None], None],
    ) -> None:
        self._table = table
        self._callbacks = {
            type_: [each for each in callbacks if each.callback_type is type_]
            for type_ in CallbackType
        }
        self._hearers: list[Callable[[str], object]] = []
        for each in callbacks:
            # One function given with several callbacks hears of a trouble once.
            if each.error_callback is not None and each.error_callback not in self._hearers:
                self._hearers.append(each.error_callback)
        self._second_try = second_try
        self._ended = ended
        self._silent = False
        self._raised: Counter[CallbackType] = Counter()

    def silence(self) -> None:
        """Call nobody from now on; what is running ends by itself. From any thread."""
        self._silent = True

    def emit(self, entries: Sequence[Entry], marks: Mapping[str, str]) -> None:
        """Tell the callbacks of some entries; returns when all were told, never raises."""
        for name, text in marks.items():
            if name.startswith(TROUBLE):
                self._tell_all(text)
        for entry in entries:
            if self._silent:
                return
            try:
                self._tell(entry)
            except Exception as error:
                # A fault of ours: it must not end the thread that all later entries need.
                log.exception("entry_not_told", table=self._table)
                self._tell_all(f"{self._table}: something was not told: {_text(error)}")

    def _tell(self, entry: Entry) -> None:
        match entry:
            case Block():
                self._tell_block(entry)
            case Count():
                kind = CallbackType.UPDATED if entry.type == "update" else CallbackType.DELETED
                self._call(kind, entry.count)
            case Undecodable():
                self._tell_undecodable(entry)
            case Alter():
                self._call(CallbackType.TABLE_ALTERED, self._table)
            case Drop():
                self._call(CallbackType.TABLE_DROPPED, self._table)
                self._end(None)
            case Gap() if not entry.closed:
                since, until = rfc3339(entry.since), rfc3339(entry.until)
                self._tell_all(
                    f"{self._table}: events between {since} and {until} may have been missed: "
                    f"{entry.reason}"
                )

    def _tell_block(self, block: Block) -> None:
        raw, decoded = CallbackType.INSERT_RAW, CallbackType.INSERT_DECODED
        codec = compile_schema(block.schema)
        for payload, count in chunks(codec, block.payload, block.count, _DECODED_AHEAD):
            told: list[tuple[CallbackType, list[Any]]] = []
            if self._heard(raw):
                told.append((raw, _frames(codec.ends(payload, count), payload)))
            if self._heard(decoded):
                told.append((decoded, codec.decode(payload, count)))
            if len(told) == 1:
                self._call_each(*told[0])
                continue
            for record in zip(*(values for _, values in told), strict=True):
                for (kind, _), value in zip(told, record, strict=True):
                    self._call(kind, value)

    def _tell_undecodable(self, entry: Undecodable) -> None:
        event, _, reason = entry.reason.partition(": ")
        if event != "insert":
            kind = CallbackType.UPDATED if event == "update" else CallbackType.DELETED
            for each in self._callbacks[kind]:
                self._tell_error(each, f"{self._table}: a notification does not decode: {reason}")
            return
        self._call(CallbackType.INSERT_RAW, entry.payload)
        if not self._heard(CallbackType.INSERT_DECODED):
            return
        found = self._second_try.decode(entry.payload)
        if not isinstance(found, str):
            self._call(CallbackType.INSERT_DECODED, found)
            return
        message = (
            f"{self._table}: an inserted record does not decode: {reason}; "
            f"at the second try: {found}; its bytes: {excerpt(entry.payload.hex(), 128)}"
        )
        for each in self._callbacks[CallbackType.INSERT_DECODED]:
            self._tell_error(each, message)
        if any(each.aborts for each in self._callbacks[CallbackType.INSERT_DECODED]):
            self._end(message)

    def _end(self, reason: str | None) -> None:
        self._silent = True
        self._ended(reason)

    def _heard(self, kind: CallbackType) -> bool:
        return any(each.event_callback for each in self._callbacks[kind])

    def _call(self, kind: CallbackType, value: object) -> None:
        self._call_each(kind, (value,))

    def _call_each(self, kind: CallbackType, values: Iterable[object]) -> None:
        """Call all callbacks of a kind with each value, in order."""
        hearers = [
            (each, each.event_callback) for each in self._callbacks[kind] if each.event_callback
        ]
        if len(hearers) > 1:
            calls = chain.from_iterable(((h, v) for h in hearers) for v in values)
            for (each, call), value in calls:
                self._call_in_turn(kind, each, call, iter((value,)))
        else:
            for each, call in hearers:
                self._call_in_turn(kind, each, call, iter(values))

    def _call_in_turn(
        self, kind: CallbackType, each: Callback, call: EventCallback, values: Iterator[object]
    ) -> None:
        while True:
            try:
                for value in values:
                    if self._silent:
                        return
                    call(value)
            # Whatever it is (sys.exit, a cancelled task): it must end neither this thread nor
            # the telling of what follows.
            except BaseException as error:
                if self._raised[kind] % _LOGGED_EVERY == 0:
                    log.exception("callback_raised", table=self._table, callback=kind.name)
                self._raised[kind] += 1
                message = f"{type(error).__name__}: {_text(error)}"
                self._tell_error(each, f"{self._table}: the {kind.name} callback raised {message}")
            else:
                return

    def _tell_error(self, callback: Callback, message: str) -> None:
        if callback.error_callback is not None:
            self._tell_one(callback.error_callback, message)

    def _tell_all(self, message: str) -> None:
        for hearer in self._hearers:
            self._tell_one(hearer, message)

    def _tell_one(self, hearer: Callable[[str], object], message: str) -> None:
        if self._silent:
            return
        try:
            hearer(message)
        except BaseException:
            log.exception("error_callback_raised", table=self._table, told=message)


def _text(error: BaseException) -> str:
    """Return what an error says, whatever it does when it is asked."""
    try:
        return excerpt(str(error))
    except Exception:  # noqa: BLE001
        return "it cannot be shown"


def _frames(ends: Sequence[int], payload: bytes) -> list[bytes]:
    begins = chain((0,), ends)
    return [payload[begin:end] for begin, end in zip(begins, ends, strict=False)]
