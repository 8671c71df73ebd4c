"""Every error the bridge raises, in one tree; its branches say what can be done about it.

    BridgeError
    ├── ConfigurationError        mend the file: it names the line and the key
    ├── WireError                 a call to Kinetica failed
    │   ├── ClusterUnavailable    no answer, or not that of a running cluster: try again
    │   ├── Unauthorised          the cluster refuses these credentials
    │   ├── RequestRefused        the cluster understood the request and said no
    │   └── ReplyNotUnderstood    the answer is not what the protocol promises
    ├── DecodeError               bytes that are no record of their table
    │   └── Unwritable            records with values that a format cannot say
    ├── JournalError
    │   ├── JournalUnavailable    cannot be opened: locked, forbidden, no folder
    │   ├── JournalDiskError      the disk failed to read or write: try again
    │   └── JournalFull           no room for another entry
    └── SinkError
        ├── Retry                 the destination may accept this later
        │   └── Disabled          it is gone: what goes there waits for a reload
        └── Reject                the destination refused this

A message says what failed, on what, and why. `hint` names the command or setting that
cures it, where one does. No message holds a secret; foreign text is cut short.
"""

from __future__ import annotations


def excerpt(text: str, limit: int = 256) -> str:
    """Cut foreign text to `limit` characters, so that a message stays a message."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def cause_of(error: BaseException) -> str:
    """Say what an error says, one of the system's without its number.

    >>> cause_of(PermissionError(13, "Permission denied", "/var/lib/bridge"))
    '/var/lib/bridge: permission denied'
    """
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[0].lower() + error.strerror[1:]
        return f"{error.filename}: {reason}" if error.filename is not None else reason
    return str(error) or type(error).__name__


class BridgeError(Exception):
    """The root: what the bridge raises on purpose."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = str(self.args[0])
        return f"{message} ({self.hint})" if self.hint else message


class ConfigurationError(BridgeError):
    """The configuration cannot be used; `problems` has one `FILE:LINE: KEY: reason` each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class WireError(BridgeError):
    """A call to Kinetica failed; it names the cluster, the endpoint and the cause."""

    def __init__(
        self, cluster: str, endpoint: str, reason: str, *, hint: str | None = None
    ) -> None:
        super().__init__(f"{cluster}{endpoint}: {excerpt(reason)}", hint=hint)
        self.cluster = cluster
        self.endpoint = endpoint
        self.reason = reason


class ClusterUnavailable(WireError):
    """The cluster did not answer, or answered as one does that is not running."""


class Unauthorised(WireError):
    """The cluster refused the credentials."""


class RequestRefused(WireError):
    """The cluster answered with an error of its own: no such table, bad expression."""


class ReplyNotUnderstood(WireError):
    """The answer is not what the protocol promises."""


class DecodeError(BridgeError):
    """Bytes that are no record of their table.

    Attributes:
        index: which record of those given, from 0.
        offset: the byte within that record at which it went wrong.
        reason: what was wrong there.
    """

    def __init__(self, index: int, offset: int, reason: str) -> None:
        super().__init__(f"record {index}, byte {offset}: {reason}")
        self.index = index
        self.offset = offset
        self.reason = reason

    def __reduce__(self) -> tuple[type[DecodeError], tuple[int, int, str]]:
        return DecodeError, (self.index, self.offset, self.reason)


class Unwritable(DecodeError):
    """Records with values that a format cannot say; those beside them it can.

    Attributes:
        bad: the index of each such record, ascending, and why.
    """

    def __init__(self, bad: list[tuple[int, str]]) -> None:
        super().__init__(bad[0][0], 0, bad[0][1])
        self.bad = bad

    def __reduce__(self) -> tuple[type[Unwritable], tuple[list[tuple[int, str]]]]:  # type: ignore[override]
        return Unwritable, (self.bad,)


class JournalError(BridgeError):
    """The journal failed."""


class JournalUnavailable(JournalError):
    """The journal cannot be opened: in use by another process, unreadable, no such folder."""


class JournalDiskError(JournalError):
    """The disk failed to read or write, or had no room; nothing was changed: try again."""


class JournalFull(JournalError):
    """The journal has no room for another entry."""


class SinkError(BridgeError):
    """A destination did not take what it was given."""


class Retry(SinkError):
    """The destination may accept this later: the same events are sent again, after a backoff.

    Attributes:
        after: seconds the destination asked us to wait, None if it did not say.
        answered: True where the destination looked at the events and failed, so that one
            of them may be the cause; False where it could not be reached at all.
        answer: what the destination said, its status first, at most 2 KiB; None where it said
            nothing.
    """

    def __init__(
        self,
        message: str,
        *,
        after: float | None = None,
        answered: bool = False,
        answer: str | None = None,
    ) -> None:
        super().__init__(excerpt(message))
        self.after = after
        self.answered = answered
        self.answer = answer


class Disabled(Retry):
    """The destination is gone for good: what goes there waits until a reload."""


class Reject(SinkError):
    """The destination refused this. Whether the event is poison is for the engine to prove.

    Attributes:
        certain: True where the sink knows by itself that it can never be sent (too large for
            the broker, say), so that no proof is needed.
        answer: as for `Retry`.
    """

    def __init__(self, message: str, *, certain: bool = False, answer: str | None = None) -> None:
        super().__init__(excerpt(message))
        self.certain = certain
        self.answer = answer
