"""Schemas, types and tables: what can be made, shown, altered and dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest

COLUMNS = {"id": ["int", "primary_key"], "s": ["string", "char8", "nullable"], "n": ["long"]}


def test_a_schema_shows_its_tables_or_itself(client: Any, refused: Any) -> None:
    """With children the tables are described, without them the schema is."""
    client("/create/schema", schema_name="shop")
    client.create_table("shop.a", COLUMNS)
    client.create_table("shop.b", COLUMNS)
    client.insert("shop.b", {"id": 1, "s": None, "n": 5})

    children = client("/show/table", table_name="shop", options={"get_sizes": "true"})
    itself = client("/show/table", table_name="shop", options={"show_children": "false"})

    assert children["table_names"] == ["shop.a", "shop.b"]
    assert children["sizes"] == [0, 1]
    assert children["total_size"] == 1
    assert itself["table_names"] == ["shop"]
    assert itself["table_descriptions"] == [["SCHEMA"]]
    assert client("/show/schema", schema_name="shop")["schema_tables"] == [["shop.a", "shop.b"]]
    with pytest.raises(refused, match="not empty"):
        client("/drop/schema", schema_name="shop")
    client("/drop/schema", schema_name="shop", options={"cascade": "true"})
    assert client("/has/schema", schema_name="shop")["schema_exists"] is False
    assert client("/has/table", table_name="shop.a")["table_exists"] is False


def test_what_exists_cannot_be_made_and_what_does_not_cannot_be_dropped(
    client: Any, refused: Any
) -> None:
    """Each is an error, unless the option says that it is none."""
    type_id = client.create_table("t", COLUMNS)
    client("/create/schema", schema_name="s")

    with pytest.raises(refused, match="already exists"):
        client("/create/table", table_name="ki_home.t", type_id=type_id)
    with pytest.raises(refused, match="already exists"):
        client("/create/schema", schema_name="s")
    with pytest.raises(refused, match="does not exist"):
        client("/clear/table", table_name="nowhere")
    with pytest.raises(refused, match="does not exist"):
        client("/drop/schema", schema_name="nowhere")
    with pytest.raises(refused, match="does not exist"):
        client("/create/table", table_name="nowhere.t", type_id=type_id)
    with pytest.raises(refused, match="does not exist"):
        client("/create/table", table_name="u", type_id="1")
    with pytest.raises(refused, match="does not exist"):
        client("/show/table", table_name="nowhere")
    client("/create/table", table_name="t", type_id=type_id, options={"no_error_if_exists": "true"})
    client("/clear/table", table_name="x", options={"no_error_if_not_exists": "true"})
    shown = client("/show/table", table_name="x", options={"no_error_if_not_exists": "true"})
    assert shown["table_names"] == []


def test_a_type_id_is_its_content(client: Any) -> None:
    """Equal layouts share an id; another name, order, type or property makes another."""
    first = client.create_table("a", COLUMNS)

    assert client.create_table("b", COLUMNS) == first
    assert first.isdecimal()
    assert client("/show/tables/bytype", type_id=first)["table_names"] == [
        "ki_home.a",
        "ki_home.b",
    ]
    assert client("/show/types", type_id=first)["properties"] == [
        {"id": ["primary_key"], "s": ["char8", "nullable"]}
    ]
    others = [
        dict(reversed(COLUMNS.items())),
        {**COLUMNS, "s": ["string", "char16", "nullable"]},
        {**COLUMNS, "s": ["string", "char8"]},
        {**COLUMNS, "n": ["int"]},
        {**COLUMNS, "n": ["long", "timestamp"]},
        {**COLUMNS, "n2": ["long"]},
    ]
    ids = {client.create_table(f"other{n}", columns) for n, columns in enumerate(others)}
    assert len(ids | {first}) == len(others) + 1


def test_the_short_form_of_a_type_is_understood(client: Any) -> None:
    """A list of names with specific types makes the same type as the Avro form."""
    short = [["id", "int", "primary_key"], ["s", "char8", "nullable"], ["n", "long"]]

    made = client("/create/type", type_definition=json.dumps(short))

    assert made["type_id"] == client.create_table("t", COLUMNS)


@pytest.mark.parametrize(
    "columns",
    [
        {"a": ["int", "char8"]},
        {"a": ["string", "no_such_property"]},
        {"a": ["string", "char8", "char16"]},
        {"a": ["string", "decimal(30,2)"]},
        {"a": ["int", "primary_key", "nullable"]},
        {"a": ["boolean"]},
        {"a": ["int"], "A": ["int"]},
        {},
    ],
)
def test_a_type_that_kinetica_lacks_is_refused(
    client: Any, refused: Any, columns: dict[str, list[str]]
) -> None:
    """Contradictory and unknown types and properties are errors."""
    with pytest.raises(refused):
        client.create_table("t", columns)


def test_columns_change_all_at_once_or_not_at_all(client: Any, refused: Any) -> None:
    """Several alterations are one change; if one is impossible none happens."""
    client.create_table("t", COLUMNS)
    client.insert("t", {"id": 1, "s": "x", "n": 5})
    good = [
        {"column_name": "d", "action": "add_column", "column_type": "double"},
        {"column_name": "s", "action": "change_column", "rename_column": "text"},
        {"column_name": "n", "action": "delete_column"},
    ]

    with pytest.raises(refused):
        client(
            "/alter/table/columns",
            table_name="t",
            column_alterations=[*good, {"column_name": "id", "action": "delete_column"}],
        )
    assert client.rows("t") == [{"id": 1, "s": "x", "n": 5}]

    changed = client("/alter/table/columns", table_name="t", column_alterations=good)
    assert client.rows("t") == [{"id": 1, "text": "x", "d": 0.0}]
    assert changed["type_id"] == client("/show/table", table_name="t")["type_ids"][0]


def test_values_that_do_not_fit_their_new_column_stop_the_change(client: Any, refused: Any) -> None:
    """Nothing is changed, and the reason names the value."""
    client.create_table("t", {"s": ["string"]})
    client.insert("t", {"s": "12"}, {"s": "word"})

    with pytest.raises(refused, match="word"):
        client(
            "/alter/table",
            table_name="t",
            action="change_column",
            value="s",
            options={"column_type": "int"},
        )

    assert client.rows("t") == [{"s": "12"}, {"s": "word"}]


def test_a_column_no_longer_nullable_gets_zeros(client: Any) -> None:
    """Nulls become zero or empty where the new column allows none."""
    client.create_table("t", {"n": ["int", "nullable"], "s": ["string", "date", "nullable"]})
    client.insert("t", {"n": None, "s": None})

    client.sql("ALTER TABLE t ALTER COLUMN n INT NOT NULL")
    client.sql("ALTER TABLE t MODIFY s DATE NOT NULL")

    assert client.rows("t") == [{"n": 0, "s": ""}]


def test_tables_are_renamed_moved_and_commented(client: Any) -> None:
    """A new name or schema keeps rows and type; a comment changes neither."""
    client("/create/schema", schema_name="other")
    type_id = client.create_table("t", COLUMNS)
    client.insert("t", {"id": 1, "s": "x", "n": 5})

    def alter(table: str, action: str, value: str) -> None:
        client("/alter/table", table_name=table, action=action, value=value)

    alter("t", "rename_table", "u")
    alter("u", "move_to_schema", "other")
    alter("other.u", "add_comment", "what it is for")
    alter("other.u", "ttl", "120")

    shown = client("/show/table", table_name="other.u")
    assert shown["type_ids"] == [type_id]
    assert shown["additional_info"][0]["comments"] == "what it is for"
    assert shown["additional_info"][0]["table_ttl"] == "120"
    assert client.rows("other.u") == [{"id": 1, "s": "x", "n": 5}]
    assert client("/has/table", table_name="t")["table_exists"] is False
