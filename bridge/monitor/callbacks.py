"""What a program wants to hear of, and whom to tell: the seed's `Callback` and what belongs to it.

A callback takes one argument. An event callback gets a value whose kind its type names; an
error callback gets text. What either returns is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, TypeAlias

from bridge.errors import ConfigurationError

EventCallback = Callable[[Any], object]
ErrorCallback = Callable[[str], object]


class CallbackOptions:
    """What the options of every callback type have in common; use a derived class."""


class FailureMode(Enum):
    """What becomes of an inserted record that does not decode, not even at the second try."""

    ABORT = 1  # tell the error callback, then end the monitoring
    SKIP = 2  # tell the error callback, then go on with the next record


class DecodedOptions(CallbackOptions):
    """Options of an `INSERT_DECODED` callback.

    Args:
        decode_failure_mode: SKIP unless given.

    Raises:
        ConfigurationError: the mode is none.
    """

    DecodeFailureMode: TypeAlias = FailureMode

    def __init__(self, decode_failure_mode: FailureMode | None = None) -> None:
        self.decode_failure_mode = (
            FailureMode.SKIP if decode_failure_mode is None else decode_failure_mode
        )

    def __repr__(self) -> str:
        return f"InsertDecodedOptions({self._mode.name})"

    @property
    def decode_failure_mode(self) -> FailureMode:
        """What becomes of a record that does not decode; may be set while monitoring."""
        return self._mode

    @decode_failure_mode.setter
    def decode_failure_mode(self, value: FailureMode) -> None:
        if not isinstance(value, FailureMode):
            raise _refusal(f"decode_failure_mode: must be SKIP or ABORT, not {value!r}")
        self._mode = value


class CallbackType(Enum):
    """What a callback is told of, and with what."""

    INSERT_DECODED = 1  # dict: an inserted record, columns in order
    INSERT_RAW = 2  # bytes: an inserted record as it came, Avro
    DELETED = 3  # int: how many rows one operation deleted
    UPDATED = 4  # int: how many rows one operation updated
    TABLE_ALTERED = 5  # str: the table's name, once its layout changed
    TABLE_DROPPED = 6  # str: the table's name, once it was dropped

    @staticmethod
    def event_types() -> list[CallbackType]:
        """Return every type."""
        return list(CallbackType)

    @staticmethod
    def monitor_types() -> list[CallbackType]:
        """Return the types for which the server gets a table monitor."""
        return list(_EVENTS)


# The kind of table monitor behind each type.
_EVENTS = {
    CallbackType.INSERT_DECODED: "insert",
    CallbackType.INSERT_RAW: "insert",
    CallbackType.DELETED: "delete",
    CallbackType.UPDATED: "update",
}


class Callback:
    """One kind of event, and whom to tell.

    Args:
        callback_type: of what to tell.
        event_callback: called with each event; None to hear of errors only.
        error_callback: called with a message where something about this goes wrong.
        event_options: what this type has options for.

    Raises:
        ConfigurationError: an argument is not what it should be.
    """

    Type: TypeAlias = CallbackType
    Options: TypeAlias = CallbackOptions
    InsertDecodedOptions: TypeAlias = DecodedOptions

    def __init__(
        self,
        callback_type: CallbackType,
        event_callback: EventCallback | None,
        error_callback: ErrorCallback | None = None,
        event_options: CallbackOptions | None = None,
    ) -> None:
        if not isinstance(callback_type, CallbackType):
            raise _refusal(f"callback_type: must be one of Callback.Type, not {callback_type!r}")
        for name, function in (
            ("event_callback", event_callback),
            ("error_callback", error_callback),
        ):
            if function is not None and not callable(function):
                raise _refusal(f"{name}: cannot be called: {function!r}")
        if event_options is not None and not isinstance(event_options, CallbackOptions):
            raise _refusal(f"event_options: must be Callback.Options, not {event_options!r}")
        self._type = callback_type
        self._event_callback = event_callback
        self._error_callback = error_callback
        self._options = event_options

    def __repr__(self) -> str:
        return f"<Callback {self._type.name}>"

    @property
    def callback_type(self) -> CallbackType:
        """Of what it is told."""
        return self._type

    @property
    def event_callback(self) -> EventCallback | None:
        """Who is told of events."""
        return self._event_callback

    @property
    def error_callback(self) -> ErrorCallback | None:
        """Who is told of what went wrong."""
        return self._error_callback

    @property
    def event_options(self) -> CallbackOptions | None:
        """The options it was given."""
        return self._options

    @property
    def aborts(self) -> bool:
        """Whether a record that does not decode ends the monitoring."""
        options = self._options
        return (
            isinstance(options, DecodedOptions) and options.decode_failure_mode is FailureMode.ABORT
        )


def check(callbacks: Iterable[Callback] | None) -> tuple[Callback, ...]:
    """Return the callbacks of a client.

    Raises:
        ConfigurationError: one is no callback, or there is none to make a table monitor for.
    """
    given = tuple(callbacks or ())
    for each in given:
        if not isinstance(each, Callback):
            raise ConfigurationError([f"Client: callback_list: not a Callback: {each!r}"])
    if not watched(given):
        wanted = ", ".join(type_.name for type_ in _EVENTS)
        raise ConfigurationError(
            [f"Client: callback_list: no event_callback of one of the types {wanted}"]
        )
    return given


def watched(callbacks: Iterable[Callback]) -> tuple[str, ...]:
    """Return the kinds of table monitor that these need: of insert, update and delete."""
    wanted = {_EVENTS.get(each.callback_type) for each in callbacks if each.event_callback}
    return tuple(event for event in ("insert", "update", "delete") if event in wanted)


def _refusal(reason: str) -> ConfigurationError:
    return ConfigurationError([f"Callback: {reason}"])
