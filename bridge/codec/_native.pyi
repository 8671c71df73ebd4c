from collections.abc import Iterable, Sequence
from typing import Any, final

# Bytes that are no record. `args` is (index, offset, fault, column): which record, the byte
# within it, the value of a `bridge.codec.faults.Fault`, the column's place in the plan (the
# number of columns for bytes left over).
class Malformed(Exception):
    args: tuple[int, int, str, int]

# A table's record layout, compiled. Immutable, for any number of threads. What works on more
# than a few KiB lets go of the GIL, but for `decode`.
@final
class Plan:
    # From (name, base, nullable, low, high) of each column in wire order: `low` and `high`
    # bound an int's or long's value, `high` the length of a string or bytes. ValueError: no
    # column, two of one name, or a base that is no Avro type of Kinetica.
    def __new__(cls, operations: Iterable[tuple[str, str, bool, int, int]]) -> Plan: ...

    # Walk frames of one record each to their last byte: the good ones one after another, how
    # many they are, and what `Malformed` would say of each bad one.
    def join(
        self, frames: Iterable[bytes], /
    ) -> tuple[bytes, int, list[tuple[int, int, str, int]]]: ...

    # A dict of each of the `count` records in a payload. Malformed: the first bad record, or
    # bytes left over, which count as the last one's. ValueError: a negative count.
    def decode(self, payload: bytes, count: int, /) -> list[dict[str, Any]]: ...

    # Where each of the `count` records in a payload ends, 64 bits each. Raises as `decode`.
    def ends(self, payload: bytes, count: int, /) -> bytes: ...

    # The greatest value in the column at `place`, by an order of `bridge.types.Order` (number,
    # float, bytes, moment, ulong), and the indices of those that have it; None: all are null.
    # Raises as `decode`; ValueError: no such column, or none with that order.
    def highest(
        self, payload: bytes, count: int, place: int, order: str, /
    ) -> tuple[Any, list[int]] | None: ...

    # The least value, and whether any is null; otherwise as `highest`.
    def lowest(
        self, payload: bytes, count: int, place: int, order: str, /
    ) -> tuple[Any, bool] | None: ...

    # A number for each of the `count` records, 64 bits each, of the columns at (place, form):
    # plain, moment, uuid, decimal. None: a value has a form that only Python knows. Raises as
    # `decode`; ValueError: no such column, or none with that form.
    def digests(
        self, payload: bytes, count: int, columns: tuple[tuple[int, str], ...], /
    ) -> bytes | None: ...

# A way to write a plan's records as lines. Immutable, for any number of threads.
@final
class Form:
    # Members of the record's object and of the key's (None: no key): the column's place, a
    # value of `bridge.types.JsonForm`, the name as JSON with its colon, a `bridge.codec.Mask` or
    # None, the key of its hashes.
    def __new__(
        cls,
        plan: Plan,
        record: tuple[tuple[int, str, bytes, str | None, bytes], ...],
        key: tuple[tuple[int, str, bytes, str | None, bytes], ...] | None,
    ) -> Form: ...

    # Lines, their ends, keys, their ends (64 bits each), as `bridge.codec.form.Form.lines` has
    # it; a slot is the value of a `Slot`; each key stands between two texts. Raises as
    # `Plan.decode`.
    def lines(
        self,
        payload: bytes,
        count: int,
        template: Sequence[bytes | int],
        first: int,
        times: Sequence[tuple[int, int]],
        key_before: bytes,
        key_after: bytes,
        /,
    ) -> tuple[bytes, bytes, bytes | None, bytes | None]: ...

# A way to write a plan's records as Avro of another schema. Immutable, for any number of threads.
@final
class AvroForm:
    # Fields: the column's place, a value of `bridge.codec.avro.AvroForm`, digits and scale of a
    # decimal, the JSON form of what is hashed, the key of the hash. ValueError: no such column, or
    # none with that form.
    def __new__(
        cls, plan: Plan, fields: tuple[tuple[int, str, int, int, str | None, bytes], ...]
    ) -> AvroForm: ...

    # Values, each behind the header; their ends, 64 bits each; and (record, field) of values
    # that have no such form, where nothing is written. Raises as `Plan.decode`.
    def write(
        self, payload: bytes, count: int, header: bytes, /
    ) -> tuple[bytes, bytes, list[tuple[int, int]]]: ...

# Drains SUB sockets into blocks, in one thread. `drain` lets go of the GIL.
@final
class Receiver:
    def __new__(cls) -> Receiver: ...

    # Find libzmq's functions in the library of this path, which the process must have loaded.
    # OSError: it has not, or the library lacks one.
    @staticmethod
    def load(path: str, /) -> None: ...

    # Take what comes on a topic as records of `plan`, for `route`. Order is kept among the
    # topics of one `table`, a small number. ValueError: the topic is there already.
    def add(self, topic: bytes, plan: Plan, route: Any, table: int, /) -> None: ...

    # Forget a topic; False where it was not there.
    def remove(self, topic: bytes, /) -> bool: ...

    # Receive from the socket at an address until it has nothing, `size` bytes were looked at, or
    # `messages` begun; keep nothing more once `room` is used up. Returns what arrived, blocks as
    # (route, payload, count) and bad frames as (route, frame, offset, fault, column); what was
    # discarded as (route, messages, records, bytes); some of the unknown topics, and how many
    # messages had one; messages begun and bytes of frames; whether a limit ended it; and the
    # number of libzmq's error that did, or 0.
    def drain(
        self, socket: int, size: int, messages: int, room: int, /
    ) -> tuple[
        list[tuple[Any, bytes, int] | tuple[Any, bytes, int, str, int]],
        list[tuple[Any, int, int, int]],
        list[bytes],
        int,
        int,
        int,
        bool,
        int,
    ]: ...
