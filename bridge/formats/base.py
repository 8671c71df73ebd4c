"""The contract of a format: how the rows of a block, and what is no row, become lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, NamedTuple

from bridge.codec import Codec
from bridge.events import Alter, Block, Count, Drop, Gap, Schema, Times
from bridge.formats.shape import Shape
from bridge.lines import Lines

# The entries that are exactly one event.
Single = Count | Alter | Drop | Gap


class Carries(StrEnum):
    """What a sink can carry besides an event as one JSON object, which every sink can."""

    TEXT = "text"  # a line of text in any form
    BINARY = "binary"  # any bytes
    ATTRIBUTES = "attributes"  # names and values beside each event
    NOTIFICATIONS = "notifications"  # what is no row, in a place beside that of the rows
    HEADER_LINE = "header_line"  # a line before the first of a file


class Rows(NamedTuple):
    """Rows that are to be written.

    Attributes:
        journal_id: 16 hexadecimal digits.
        first: offset of the first of them.
        block: what they share; its payload, count and times may be those of more.
        codec: reads records of the block's layout.
        shape: how the table's rows are to look.
        keyed: whether keys are wanted.
        payload: their Avro bytes.
        count: how many they are.
        times: when they were received.
    """

    journal_id: str
    first: int
    block: Block
    codec: Codec
    shape: Shape
    keyed: bool
    payload: bytes
    count: int  # type: ignore[assignment]  # a tuple's own count is not wanted here
    times: Times


class Format(ABC):
    """One form that events can take. Equal formats write the same; any thread may call.

    Attributes:
        needs: what a sink must be able to carry.
        keyed: whether the key of a row stands in what it writes, whatever the sink asks for.
    """

    needs: ClassVar[frozenset[Carries]] = frozenset()
    keyed: ClassVar[bool] = False

    @abstractmethod
    def rows(self, rows: Rows) -> Lines:
        """Write rows, all of one block.

        Raises:
            DecodeError: the bytes are no records of the layout.
            Unwritable: it has no form for values of some of them; the others can be written.
            Retry: they cannot be written now, or not in this shape; their table waits.
        """

    def weight(self, table: str, schema: Schema, shape: Shape) -> int:  # noqa: ARG002
        """Return about how many bytes each row of a table has besides its own and an envelope."""
        return 0

    @abstractmethod
    def single(self, journal_id: str, offset: int, entry: Single) -> Lines:
        """Write an entry that is exactly one event."""

    def check(self, table: str, schema: Schema, shape: Shape) -> str | None:  # noqa: ARG002
        """Try what it needs elsewhere to write a table's rows; change nothing there.

        Returns:
            What was found, None where it needs nothing.

        Raises:
            Retry: they could not be written.
        """
        return None

    def trial(self) -> Format:
        """Return a format that writes the same, and asks and changes nothing elsewhere."""
        return self


@dataclass(frozen=True, slots=True)
class Output:
    """What a sink wants of the encoder.

    Attributes:
        format: writes its events.
        shapes: how the rows of each table look; a table that is not in it is left as it is.
        keyed: whether it uses message keys.
    """

    format: Format
    shapes: dict[str, Shape]
    keyed: bool

    @property
    def wants_keys(self) -> bool:
        """Whether the keys of rows are to be made: for the sink, or for what is written."""
        return self.keyed or self.format.keyed
