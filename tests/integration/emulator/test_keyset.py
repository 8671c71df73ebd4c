"""Reading by keyset: conditions over several columns, of every type, in every type's own order."""

from __future__ import annotations

import json
from typing import Any

import pytest

# Values in ascending order, as constants of an expression write them.
ORDERED: dict[str, tuple[list[str], list[Any]]] = {
    "int": (["int"], [-5, 0, 40, 300]),
    "int8": (["int", "int8"], [-128, 0, 127]),
    "boolean": (["int", "boolean"], [0, 1]),
    "long": (["long"], [-(2**63), 2**53, 2**53 + 1, 2**63 - 1]),
    "timestamp": (["long", "timestamp"], [-1, 0, 1_700_000_000_000]),
    "float": (["float"], [-1.5, 0.0, 0.10000000149011612, 2.0**100]),
    "double": (["double"], [-1e300, -0.5, 0.1, 0.30000000000000004, 1e300]),
    "string": (["string"], ["", "B", "a", "o'clock", "é", "東"]),
    "char4": (["string", "char4"], ["A", "a", "b"]),
    "date": (["string", "date"], ["1000-01-01", "1999-12-31", "2900-12-31"]),
    "time": (["string", "time"], ["00:00:00.000", "09:59:59.999", "10:00:00.000"]),
    "datetime": (
        ["string", "datetime"],
        ["1999-12-31 23:59:59.999", "2024-02-29 00:00:00.000", "2024-02-29 00:00:00.001"],
    ),
    "decimal": (["string", "decimal(27,18)"], ["-10.5", "9.123456789012345678", "10", "100.25"]),
    "ulong": (["string", "ulong"], ["9", "10", "18446744073709551614", "18446744073709551615"]),
    "ipv4": (["string", "ipv4"], ["9.0.0.1", "10.0.0.2", "10.0.0.10", "192.168.0.1"]),
    "uuid": (
        ["string", "uuid"],
        ["00000000-0000-0000-0000-000000000009", "f47ac10b-58cc-4372-a567-0e02b2c3d479"],
    ),
}
UNQUOTED = {"decimal", "ulong"}


def constant(name: str, value: Any) -> str:
    if isinstance(value, str) and name not in UNQUOTED:
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def by_column(client: Any, columns: list[str], order: str, expression: str = "") -> list[Any]:
    reply = client(
        "/get/records/bycolumn",
        table_name="t",
        column_names=columns,
        limit=-9999,
        encoding="json",
        options={"order_by": order, "expression": expression},
    )
    found = json.loads(reply["json_encoded_response"])
    return list(zip(*(found[f"column_{n}"] for n in range(1, len(columns) + 1)), strict=True))


@pytest.mark.parametrize("name", list(ORDERED))
def test_every_type_compares_in_its_own_order(client: Any, name: str) -> None:
    """What is greater than a constant is what comes after it, by call, by column and by SQL."""
    spec, values = ORDERED[name]
    client.create_table("t", {"n": ["int"], "v": spec})
    client.insert("t", *({"n": n, "v": value} for n, value in reversed([*enumerate(values)])))
    count = len(values)

    for position, value in enumerate(values):
        text = constant(name, value)
        after = list(range(position + 1, count))
        found = client.rows("t", expression=f"v > {text}", sort_by="v")
        assert [row["n"] for row in found] == after
        assert by_column(client, ["n"], "v", f"(v > {text})") == [(n,) for n in after]
        assert client.select(f"SELECT n FROM t WHERE v > {text} ORDER BY v") == [
            (n,) for n in after
        ]
        assert client.select(f"SELECT n FROM t WHERE v = {text}") == [(position,)]
        assert client.rows("t", expression=f"v between {text} and {text}")[0]["n"] == position
    down = client.rows("t", sort_by="v", sort_order="descending")
    assert [row["n"] for row in down] == list(range(count))[::-1]
    largest, smallest, rows = client.select("SELECT MAX(v), MIN(v), COUNT(*) FROM t")[0]
    assert rows == count
    assert client.select("SELECT n FROM t WHERE v = (SELECT MAX(v) FROM t)") == [(count - 1,)]
    assert [largest, smallest] == [
        client.select(f"SELECT v FROM t WHERE n = {n}")[0][0] for n in (count - 1, 0)
    ]


def test_constants_of_dates_need_not_be_in_full(client: Any) -> None:
    """A datetime without milliseconds or time, and one with more digits, mean what they say."""
    client.create_table("t", {"at": ["string", "datetime"], "of": ["string", "time"]})
    client.insert("t", {"at": "2024-02-29 00:00:00.000", "of": "12:00:00.500"})

    for same in (
        "at = '2024-02-29 00:00:00'",
        "at = '2024-02-29'",
        "at = '2024-02-29T00:00:00.000000'",
        "of = '12:00:00.5'",
        "at < '2024-02-29 00:00:00.000001'",
        "not at > '2024-02-29 00:00:00'",
    ):
        assert len(client.rows("t", expression=same)) == 1, same


def test_a_composite_key_with_ties_reads_page_by_page(client: Any) -> None:
    """The condition over all key columns, and their order, give every row once."""
    client.create_table(
        "t", {"tenant": ["string", "char8", "primary_key"], "seq": ["long", "primary_key"]}
    )
    keys = [(f"t{n % 3}", n) for n in range(40)]
    client.insert("t", *({"tenant": tenant, "seq": seq} for tenant, seq in keys))

    seen: list[Any] = []
    while True:
        expression = ""
        if seen:
            tenant, seq = seen[-1]
            expression = f"(tenant > '{tenant}') or (tenant = '{tenant}' and seq > {seq})"
        rows = by_column(client, ["tenant", "seq"], "tenant asc, seq asc", expression)[:7]
        if not rows:
            break
        seen += rows
    assert seen == sorted(keys)


def test_nulls_are_asked_for_by_name(client: Any) -> None:
    """No comparison finds a null; they come first in ascending order, and count as none."""
    client.create_table("t", {"n": ["int"], "v": ["int", "nullable"]})
    client.insert("t", {"n": 1, "v": 2}, {"n": 2, "v": None}, {"n": 3, "v": 1})

    assert [row["n"] for row in client.rows("t", expression="v IS NULL")] == [2]
    assert [row["n"] for row in client.rows("t", expression="not v is null")] == [1, 3]
    assert [row["n"] for row in client.rows("t", expression="is_null(v)")] == [2]
    assert [row["n"] for row in client.rows("t", expression="v > 0 or v <= 0")] == [1, 3]
    assert by_column(client, ["n"], "v desc, n") == [(1,), (3,), (2,)]
    assert client.select("SELECT COUNT(v), MAX(v) FROM t") == [(2, 2)]


def test_a_large_table_is_read_in_order_whatever_happens_to_it(client: Any) -> None:
    """Altered, renamed and made again between pages, the pages stay sorted."""
    client.create_table("t", {"n": ["long"], "v": ["int"]})
    client("/insert/records/random", table_name="t", count=60_000)

    def first(table: str) -> list[int]:
        return [row["v"] for row in client.rows(table, sort_by="v")]

    before = first("t")
    assert before == sorted(before)
    client("/alter/table", table_name="t", action="add_column", value="x")
    assert first("t") == before
    client("/alter/table", table_name="t", action="rename_table", value="u")
    assert first("u") == before
    client("/clear/table", table_name="u")
    client.create_table("u", {"v": ["int"]})
    client("/insert/records/random", table_name="u", count=60_000)
    assert first("u") == sorted(first("u"))
