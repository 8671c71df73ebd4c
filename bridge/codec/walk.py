"""Validation in Python: a walk over the bytes that builds nothing.

It comes to the verdicts of `csrc/walk.c`, byte for byte. fastavro decodes more leniently
(varints of any length, negative union indexes, no limits of declared types), so nothing
reaches it that has not been walked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.codec.faults import Fault
from bridge.codec.plan import Operation

Step = Callable[[bytes, int], int]
"""Reads one column's value at an offset and returns the offset after it."""


class FaultFound(Exception):
    """The walk cannot go on; control flow within this room, never seen outside.

    Attributes:
        fault: why.
        at: the byte, counted from the start of the data walked.
        column: which column; the walker fills it in.
    """

    def __init__(self, fault: Fault, at: int) -> None:
        super().__init__(fault, at)
        self.fault = fault
        self.at = at
        self.column = 0


class Walker:
    """Walks records of one layout. Immutable, for any number of threads."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._steps = [_step(operation) for operation in operations]

    def record(self, data: bytes, at: int) -> int:
        """Walk the record that begins at `at`; returns where it ends.

        Raises:
            FaultFound: it is none.
        """
        start = at
        column = 0
        try:
            for column, step in enumerate(self._steps):  # noqa: B007 (the handler names it)
                at = step(data, at)
        except FaultFound as found:
            found.column = column
            found.at -= start
            raise
        return at

    def columns(self, data: bytes, at: int) -> list[int]:
        """Return where each column of a good record begins, and where the last one ends."""
        bounds = [at]
        for step in self._steps:
            bounds.append(step(data, bounds[-1]))
        return bounds

    def frame(self, data: bytes) -> None:
        """Walk a frame of one record to its last byte.

        Raises:
            FaultFound: it is none, or bytes are left over.
        """
        end = self.record(data, 0)
        if end != len(data):
            raise FaultFound(Fault.LEFT_OVER, end)


def _varint(data: bytes, at: int, most: int, last: int, beyond: Fault) -> tuple[int, int]:
    """Read a zigzag varint of at most `most` bytes, the last at most `last`: value, end."""
    bits = 0
    for i in range(most):
        if at + i >= len(data):
            raise FaultFound(Fault.TRUNCATED, at)
        byte = data[at + i]
        if i == most - 1 and byte > last:
            break
        bits |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return (bits >> 1) ^ -(bits & 1), at + i + 1
    raise FaultFound(beyond, at)


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of 64 bits, or one of fewer: it, and where it ends.

    Raises:
        FaultFound: it is none.
    """
    return _varint(data, at, 10, 0x01, Fault.BEYOND_64_BITS)


def _int(data: bytes, at: int) -> tuple[int, int]:
    return _varint(data, at, 5, 0x0F, Fault.BEYOND_32_BITS)


def _step(operation: Operation) -> Step:
    value = _value(operation)
    return _nullable(value) if operation.nullable else value


def _value(operation: Operation) -> Step:
    match operation.base:
        case "int":
            return _number(_int, operation)
        case "long":
            return _number(read_long, operation)
        case "float":
            return _fixed(4)
        case "double":
            return _fixed(8)
        case "string":
            return _text(_span(operation))
        case _:
            span = _span(operation)
            return lambda data, at: span(data, at)[1]


def _nullable(value: Step) -> Step:
    def step(data: bytes, at: int) -> int:
        index, after = read_long(data, at)
        if index == 0:
            return value(data, after)
        if index == 1:
            return after
        raise FaultFound(Fault.UNION_INDEX, at)

    return step


def _number(read: Callable[[bytes, int], tuple[int, int]], operation: Operation) -> Step:
    low, high = operation.low, operation.high

    def step(data: bytes, at: int) -> int:
        number, after = read(data, at)
        if not low <= number <= high:
            raise FaultFound(Fault.OUT_OF_RANGE, at)
        return after

    return step


def _fixed(size: int) -> Step:
    def step(data: bytes, at: int) -> int:
        if len(data) - at < size:
            raise FaultFound(Fault.TRUNCATED, at)
        return at + size

    return step


def _span(operation: Operation) -> Callable[[bytes, int], tuple[int, int]]:
    """Make a reader of a length and as many bytes: where they begin, where they end."""
    most = operation.high

    def read(data: bytes, at: int) -> tuple[int, int]:
        length, begin = read_long(data, at)
        if length < 0:
            raise FaultFound(Fault.NEGATIVE_LENGTH, at)
        if length > len(data) - begin:
            raise FaultFound(Fault.LENGTH, at)
        if length > most:
            raise FaultFound(Fault.TOO_LONG, at)
        return begin, begin + length

    return read


def _text(span: Callable[[bytes, int], tuple[int, int]]) -> Step:
    def step(data: bytes, at: int) -> int:
        begin, end = span(data, at)
        try:
            data[begin:end].decode()
        except UnicodeDecodeError as error:
            raise FaultFound(Fault.NOT_UTF8, begin + error.start) from None
        return end

    return step
