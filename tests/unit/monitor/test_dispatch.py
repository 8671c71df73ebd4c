"""Blocks become callbacks: each record once, in order, whatever a callback does."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

import pytest

from bridge.codec import compile_schema
from bridge.events import Block, Column, Schema
from bridge.monitor import Callback
from bridge.monitor.dispatch import Dispatcher
from bridge.monitor.second_try import SecondTry

SCHEMA = Schema("7", (Column("n", "int", "int"), Column("s", "string", "string")))
CODEC = compile_schema(SCHEMA)
Type = Callback.Type


def frames(count: int) -> list[bytes]:
    return [bytes([n % 60 * 2, n % 5 * 2]) + b"x" * (n % 5) for n in range(count)]


def block(count: int) -> Block:
    payload = b"".join(frames(count))
    return Block("s.t", "http://a", "insert", SCHEMA, payload, count, ((count, 1),))


def dispatcher(*callbacks: Callback) -> Dispatcher:
    return Dispatcher("t", callbacks, SecondTry(lambda: None), lambda _: None)


@pytest.mark.parametrize("count", [1, 499, 500, 501, 1234])
def test_raw_and_decoded_are_told_of_each_record_in_turn(count: int) -> None:
    """Both of the first record, then both of the second, whatever the size of the block."""
    told: list[Any] = []
    tells = dispatcher(
        Callback(Type.INSERT_DECODED, told.append), Callback(Type.INSERT_RAW, told.append)
    )

    tells.emit([block(count)], {})

    records = CODEC.decode(block(count).payload, count)
    assert told == [each for pair in zip(frames(count), records, strict=True) for each in pair]


@pytest.mark.parametrize("kind", [Type.INSERT_RAW, Type.INSERT_DECODED])
def test_several_callbacks_of_a_kind_are_told_in_turn(kind: Callback.Type) -> None:
    """Of each record, the first callback first."""
    told: list[Any] = []
    tells = dispatcher(
        *(Callback(kind, lambda value, name=name: told.append((name, value))) for name in "ab")
    )

    tells.emit([block(3)], {})

    assert [name for name, _ in told] == ["a", "b"] * 3
    assert [value for _, value in told[::2]] == [value for _, value in told[1::2]]


class Unspeakable(Exception):
    """An error that cannot even be asked what it is."""

    def __str__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize("error", [SystemExit, CancelledError, KeyboardInterrupt, Unspeakable])
def test_a_callback_that_raises_misses_no_other_record(error: type[BaseException]) -> None:
    """Whatever it raises, each record is told once, and its error callback hears of each error."""
    told: list[int] = []
    errors: list[str] = []

    def callback(record: dict[str, Any]) -> None:
        told.append(record["n"])
        if record["n"] % 2:
            raise error(record["n"])

    dispatcher(Callback(Type.INSERT_DECODED, callback, errors.append)).emit([block(50)], {})

    assert told == list(range(50))
    assert len(errors) == 25


def test_once_silenced_it_tells_nothing_more() -> None:
    """Not even the rest of the block."""
    told: list[int] = []

    def callback(record: dict[str, Any]) -> None:
        told.append(record["n"])
        if record["n"] == 7:
            tells.silence()

    tells = dispatcher(Callback(Type.INSERT_DECODED, callback))
    tells.emit([block(50), block(50)], {})

    assert told == list(range(8))
