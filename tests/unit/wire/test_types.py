"""Layouts are read from what `/show/table` says, and nothing else passes for one."""

from __future__ import annotations

import json

import pytest

from bridge.events import Column
from bridge.wire.client import normal_url
from bridge.wire.types import parse_schema


def schema_text(*fields: tuple[str, object]) -> str:
    return json.dumps(
        {
            "type": "record",
            "name": "type_name",
            "fields": [{"name": n, "type": t} for n, t in fields],
        }
    )


def test_declared_types_come_from_the_properties_whatever_their_order() -> None:
    """Base types and nullability are the schema's; keys keep the order of the columns."""
    text = schema_text(("b", "long"), ("a", ["string", "null"]), ("v", "bytes"), ("s", "string"))
    properties = {
        "b": ["shard_key", "primary_key", "timestamp"],
        "a": ["nullable", "data", "decimal(10, 2)"],
        "v": ["vector(3)", "normalize"],
        "s": ["text_search"],
    }

    schema = parse_schema("7", text, properties)

    assert schema.columns == (
        Column("b", "long", "timestamp", False),
        Column("a", "string", "decimal(10,2)", True),
        Column("v", "bytes", "vector(3)", False),
        Column("s", "string", "string", False),
    )
    assert schema.primary_key == ("b",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        '{"fields": 3}',
        schema_text(("a", "boolean")),
        schema_text(("a", ["null", "int"])),
        schema_text(("a", ["int"])),
        schema_text(("a\ud800", "int")),
        schema_text((1, "int")),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_layout_is_refused(text: str) -> None:
    """A null that comes first in a union would shift every byte after it."""
    with pytest.raises(ValueError, match=r"."):
        parse_schema("7", text, {})


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ("kinetica-a", "http://kinetica-a:9191"),
        ("http://k:9191/", "http://k:9191"),
        ("http://k/gpudb-0", "http://k/gpudb-0"),
        ("https://k", "https://k"),
        ("10.0.0.1:8082/gpudb-0", "http://10.0.0.1:8082/gpudb-0"),
    ],
)
def test_urls_are_completed(given: str, completed: str) -> None:
    """Scheme http and port 9191 are what Kinetica's own clients assume."""
    assert normal_url(given) == completed


def test_a_column_that_no_event_can_name_is_refused_by_its_name() -> None:
    """A lone surrogate has no UTF-8: every row would fail, so the layout does."""
    with pytest.raises(ValueError, match=r"column 'a\\ud800': a name with a lone surrogate"):
        parse_schema("7", schema_text(("a\ud800", "int")), {})
