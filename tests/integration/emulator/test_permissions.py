"""Users and grants: what was not granted is refused, and can be asked beforehand."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kinetica_emulator import Emulator

PASSWORD = "secret"


@pytest.fixture
def table(client: Any) -> str:
    client.create_table("t", {"id": ["int"]})
    client.insert("t", {"id": 1})
    return "ki_home.t"


@pytest.fixture
def reader(emulator: Emulator, connect: Any) -> Any:
    emulator.add_user("reader", PASSWORD)
    other = connect(emulator)
    token = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    other.session.headers["Authorization"] = f"Basic {token}"
    return other


def may(client: Any, permission: str, name: str, kind: str = "table", user: str = "") -> bool:
    reply = client(
        "/has/permission", principal=user, object=name, object_type=kind, permission=permission
    )
    return bool(reply["has_permission"])


def test_a_user_may_do_what_was_granted(
    client: Any, reader: Any, refused: Any, table: str, emulator: Emulator
) -> None:
    """Reading, writing and watching are refused each on its own until granted."""
    for attempt in (
        lambda: reader.rows(table),
        lambda: reader.select("SELECT id FROM t"),
        lambda: reader.insert(table, {"id": 2}),
        lambda: reader.monitor(table),
    ):
        with pytest.raises(refused, match="does not have permission"):
            attempt()
    assert not may(reader, "read", table)

    emulator.grant("reader", "table_read", "ki_home.t")
    client(
        "/grant/permission",
        principal="reader",
        object="ki_home",
        object_type="table_monitor",
        permission="create",
    )

    assert reader.rows(table) == [{"id": 1}]
    topic = reader.monitor(table)
    assert may(reader, "read", "t")
    assert may(client, "read", "t", user="reader")
    assert not may(reader, "insert", table)
    reader("/clear/tablemonitor", topic_id=topic)


def test_the_monitor_of_another_needs_its_administration(
    client: Any, reader: Any, refused: Any, table: str, emulator: Emulator
) -> None:
    """Only who made a monitor may clear it, and who administers monitors."""
    topic = client.monitor(table)
    with pytest.raises(refused, match="monitor_admin"):
        reader("/clear/tablemonitor", topic_id=topic)

    emulator.grant("reader", "system_write")

    reader("/clear/tablemonitor", topic_id=topic)
    assert client.monitors()["monitor_ids"] == []


def test_a_known_user_needs_the_right_password(reader: Any) -> None:
    """Anonymous clients get in where no login is asked for, wrong passwords never."""
    wrong = base64.b64encode(b"reader:wrong").decode()
    headers = {"Authorization": f"Basic {wrong}"}

    assert reader.post("/has/table", table_name="t", headers=headers).status_code == 401


@pytest.mark.parametrize("binary", [False, True])
def test_something_can_be_forbidden_to_everybody(
    client: Any, refused: Any, table: str, emulator: Emulator, binary: bool
) -> None:
    """Reading rows fails with an error reply, everything else goes on, until healed."""
    emulator.forbid("table_read", table)
    emulator.forbid("monitor_create")
    with pytest.raises(refused, match=r"permission 'table_read' on 'ki_home\.t'"):
        client("/get/records", binary=binary, table_name="t", limit=1, encoding="binary")
    with pytest.raises(refused, match="monitor_create"):
        client.monitor(table)
    assert not may(client, "read", table)
    client.insert(table, {"id": 2})

    emulator.heal()

    assert len(client.rows(table)) == 2
    assert client.monitor(table)


def test_permissions_on_nothing_are_an_error(client: Any, refused: Any) -> None:
    """An object that does not exist is refused, or simply not permitted if asked so."""
    fields = {"object": "nowhere", "object_type": "table", "permission": "read"}
    with pytest.raises(refused, match="does not exist"):
        client("/has/permission", **fields)
    tolerant = client("/has/permission", **fields, options={"no_error_if_not_exists": "true"})
    assert tolerant["has_permission"] is False
    with pytest.raises(refused, match="User 'nobody' does not exist"):
        client("/grant/permission", principal="nobody", **fields)
