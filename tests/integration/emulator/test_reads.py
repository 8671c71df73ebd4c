"""Reading: pages, columns, SQL queries, expressions that are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kinetica_emulator.identity import MAX_GET_RECORDS_SIZE

COLUMNS = {"id": ["int"], "s": ["string", "char8", "nullable"], "d": ["string", "decimal(8,2)"]}


@pytest.fixture
def table(client: Any) -> str:
    client.create_table("t", COLUMNS)
    client.insert(
        "t", *({"id": n, "s": f"s{n % 2}" if n else None, "d": f"{n}.5"} for n in range(10))
    )
    return "t"


def test_a_read_has_a_largest_size(client: Any) -> None:
    """END_OF_SET and larger limits give one full page, and say that more is left."""
    client.create_table("t", {"id": ["int"]})
    client("/insert/records/random", table_name="t", count=MAX_GET_RECORDS_SIZE + 1)

    for limit in (-9999, 10**9):
        reply = client("/get/records", binary=True, table_name="t", limit=limit, encoding="binary")
        assert len(reply["records_binary"]) == MAX_GET_RECORDS_SIZE
        assert reply["has_more_records"] is True
    rest = client(
        "/get/records", table_name="t", offset=MAX_GET_RECORDS_SIZE, limit=-9999, encoding="json"
    )
    assert len(rest["records_json"]) == 1
    assert rest["has_more_records"] is False


def test_columns_come_with_their_own_schema(client: Any, table: str) -> None:
    """Column by column, headed and typed, in the order asked for."""
    reply = client(
        "/get/records/bycolumn",
        table_name=table,
        column_names=["d", "s"],
        offset=0,
        limit=2,
        encoding="json",
        options={"order_by": "id desc"},
    )

    assert json.loads(reply["json_encoded_response"]) == {
        "column_1": ["9.5", "8.5"],
        "column_2": ["s1", "s0"],
        "column_headers": ["d", "s"],
        "column_datatypes": ["decimal(8,2)", "char8"],
    }
    fields = json.loads(reply["response_schema_str"])["fields"]
    assert [field["type"]["items"] for field in fields] == [
        "string",
        ["string", "null"],
        "string",
        "string",
    ]


@pytest.mark.parametrize(
    "expression",
    ["", "id >", "nowhere = 1", "id > 1; DROP TABLE t", "'open", "id = 1) OR (1 = 1", "no_f(id)"],
)
@pytest.mark.parametrize("call", ["/get/records", "/delete/records", "/update/records"])
def test_an_expression_that_is_none_changes_nothing(
    client: Any, refused: Any, table: str, expression: str, call: str
) -> None:
    """It is refused with a reason; only an empty one means all rows."""
    fields: dict[str, Any] = {"table_name": table}
    if call == "/get/records":
        fields |= {"limit": 100, "encoding": "json", "options": {"expression": expression}}
    else:
        fields["expressions"] = [expression]
    if call == "/update/records":
        fields["new_values_maps"] = [{"s": "new"}]

    if expression:
        with pytest.raises(refused):
            client(call, **fields)
        assert [row["id"] for row in client.rows(table)] == list(range(10))
        assert {row["s"] for row in client.rows(table)} == {None, "s0", "s1"}
    else:
        client(call, **fields)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT 42", [(42,)]),
        ("SELECT 1.5 AS x, 'it''s', NULL", [(1.5, "it's", None)]),
        ("SELECT count(*), max(d) FROM t", [(10, "9.5")]),
        ("SELECT t.id FROM ki_home.t WHERE t.d > 8", [(8,), (9,)]),
        ("SELECT ki_home.t.id FROM ki_home.t WHERE id == 1 && s IS NOT NULL", [(1,)]),
        ('SELECT "id" FROM "ki_home"."t" AS x WHERE x.id < 1', [(0,)]),
        ("SELECT a.id FROM t a, t b WHERE a.id = b.id - 8 ORDER BY a.id", [(0,), (1,)]),
        ("SELECT a.id FROM t a JOIN ki_home.t b ON a.id = b.id + 8", [(8,), (9,)]),
        ("SELECT id FROM (SELECT id FROM t WHERE id > 7) q -- why not\n", [(8,), (9,)]),
        ("WITH q AS (SELECT id FROM t) SELECT max(id) FROM q", [(9,)]),
        ("SELECT s, count(*) FROM t GROUP BY s HAVING count(*) > 4", [("s1", 5)]),
        ("SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE d = 3.50)", [(3,)]),
    ],
)
def test_queries_are_computed(client: Any, table: str, query: str, rows: list[Any]) -> None:
    """Names qualified, quoted, aliased or joined mean the tables they name."""
    assert client.select(query) == rows


def test_queries_take_parameters_pages_and_a_schema(client: Any, table: str) -> None:
    """`$1`, offset and limit, and the schema of names that have none."""
    client("/create/schema", schema_name="other")
    client.create_table("other.t", {"id": ["int"]})
    client.insert("other.t", {"id": 77})

    assert client.select("SELECT id FROM t", current_schema="other") == [(77,)]
    found = client.select("SELECT id FROM t WHERE id > $1 AND s = $2", query_parameters='[6, "s1"]')
    assert found == [(7,), (9,)]
    reply = client(
        "/execute/sql", statement="SELECT id FROM t ORDER BY id", offset=3, limit=2, encoding="json"
    )
    assert json.loads(reply["json_encoded_response"])["column_1"] == [3, 4]
    assert (reply["total_number_of_records"], reply["has_more_records"]) == (10, True)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT 1; SELECT 2",
        "PRAGMA user_version",
        "ATTACH 'x' AS y",
        "INSERT INTO t (id) VALUES (1, 2)",
        "INSERT INTO t (nowhere) VALUES (1)",
        "INSERT INTO t (id, d) VALUES (99999999999, 1)",
        "UPDATE t SET id = 'word'",
        "UPDATE t SET nowhere = 1",
        "DELETE FROM t WHERE",
        "CREATE TABLE u (id NO_SUCH_TYPE)",
        "CREATE TABLE u (id INT",
        "CREATE TABLE u AS SELECT 1",
        "ALTER TABLE t ADD INDEX (id)",
        "DROP TABLE nowhere",
        "CREATE VIEW v AS SELECT 1",
        "WITH q AS (SELECT 1) DELETE FROM t",
    ],
)
def test_statements_it_cannot_carry_out_are_refused(
    client: Any, refused: Any, table: str, statement: str
) -> None:
    """Wrong ones and those not emulated are errors, and change nothing."""
    before = client.rows(table)

    with pytest.raises(refused):
        client.sql(statement)
    assert client.rows(table) == before
