"""CloudEvents are written as promised, in both modes."""

from __future__ import annotations

import json
from dataclasses import replace

import orjson
from services.formats import CLUSTER, ID, SCHEMA, SINGLES, TABLE, block, write

from bridge.events import ReadCause, Schema
from bridge.formats.base import Format, Single
from bridge.formats.cloudevents import CloudEvents
from bridge.formats.cloudevents_binary import CloudEventsBinary
from bridge.formats.json import JsonFormat
from bridge.formats.singles import members_of
from bridge.lines import Lines

WHOLE, BINARY = CloudEvents("eu-1"), CloudEventsBinary("eu-1")


def attributes(lines: Lines, index: int) -> dict[str, str]:
    assert lines.attributes is not None
    (found,) = lines.attributes.of(lines, index, index + 1)
    return dict(found)


def test_a_row_is_one_compact_object_whose_data_is_the_record() -> None:
    """To the letter."""
    lines = write(WHOLE, block())
    assert lines.content_type == "application/cloudevents+json; charset=UTF-8"
    assert lines.event(1).value == (
        b'{"id":"9f86d081884c7d65-1235","specversion":"1.0","source":"/kinetica/eu-1/ki_home.orders",'
        b'"type":"com.kinetica.bridge.insert","kineticatable":"ki_home.orders",'
        b'"kineticacluster":"http://kinetica-a:9191","datacontenttype":"application/json",'
        b'"time":"2026-11-24T08:42:00.123457Z",'
        b'"kineticaoffset":"00000000000000001235","subject":"{\\"order_id\\":2}",'
        b'"data":{"order_id":2,"note":"hi"}}'
    )


def test_both_modes_have_the_same_attributes_and_data() -> None:
    """Of rows for whatever cause, and of what is no row; beside the value they have no prefix."""
    causes: tuple[ReadCause | None, ...] = (None, "gap", "snapshot", "update")
    for cause in causes:
        whole, binary = write(WHOLE, block(cause)), write(BINARY, block(cause))
        for index in range(2):
            event = json.loads(whole.event(index).value)
            assert event.get("kineticacause") == cause
            assert event.pop("data") == json.loads(binary.event(index).value)
            assert event.pop("datacontenttype") == binary.content_type == "application/json"
            assert event == attributes(binary, index)
    for entry in SINGLES.values():
        event = json.loads(WHOLE.single(ID, 5, entry).event(0).value)
        binary = BINARY.single(ID, 5, entry)
        data = event.pop("data", None)
        assert binary.event(0).value == (b"" if data is None else orjson.dumps(data))
        assert event.pop("datacontenttype") == binary.content_type
        assert event == attributes(binary, 0)


def test_what_is_no_row_has_the_members_behind_offset_as_data() -> None:
    """A drop has none, so no data; it is no notification, and its subject is its key."""
    for type_, entry in SINGLES.items():
        for form in (WHOLE, BINARY):
            lines = form.single(ID, 5, entry)
            assert (lines.notification, lines.event(0).key) == (
                False,
                b'{"table":"ki_home.orders"}',
            )
        event = json.loads(WHOLE.single(ID, 5, entry).event(0).value)
        assert event["type"] == f"com.kinetica.bridge.{type_}"
        assert event["subject"] == '{"table":"ki_home.orders"}'
        assert event.get("data", {}) == members_of(entry)[1]
        assert ("data" in event) == (type_ != "drop")


def test_identity_outlives_a_failover_and_a_redelivery() -> None:
    """The source and the id are the same from whatever cluster, and each time."""
    here = json.loads(write(WHOLE, block()).event(0).value)
    there = json.loads(write(WHOLE, replace(block(), cluster="http://b:9191")).event(0).value)
    assert here["kineticacluster"] != there["kineticacluster"]
    assert (here["source"], here["id"]) == (there["source"], there["id"])


def test_a_row_without_a_key_has_no_subject() -> None:
    """Neither mode makes one up."""
    keyless = block(schema=Schema("8", SCHEMA.columns))
    assert "subject" not in json.loads(write(WHOLE, keyless).event(0).value)
    assert "subject" not in attributes(write(BINARY, keyless), 0)


def test_a_source_is_a_uri_whatever_the_names() -> None:
    """Percent-encoded; the table's name stands as it is in an extension."""
    table = 'a b.ü/"%'
    for form in (CloudEvents("x/y"), CloudEventsBinary("x/y")):
        lines = write(form, block(table=table))
        found = attributes(lines, 0) if lines.attributes else json.loads(lines.event(0).value)
        assert found["source"] == "/kinetica/x%2Fy/a%20b.%C3%BC%2F%22%25"
        assert found["kineticatable"] == table


def test_attributes_of_a_part_are_those_of_its_events() -> None:
    """Also where it begins within a run of times."""
    many = replace(block(), payload=block().payload * 3, count=6, times=((4, 0), (2, 1)))
    lines = write(BINARY, many)
    assert lines.attributes is not None
    every = lines.attributes.of(lines, 0, 6)
    assert [dict(each)["id"] for each in every] == [f"{ID}-{1234 + index}" for index in range(6)]
    assert [dict(each)["time"][-4:] for each in every] == ["000Z"] * 4 + ["001Z"] * 2
    for start in range(6):
        assert list(lines.attributes.of(lines, start, 6)) == list(every[start:])


def test_equal_formats_are_equal_and_others_are_not() -> None:
    """Sinks that ask for the same share what was written."""
    formats: list[Format] = [CloudEvents("a"), CloudEvents("b"), CloudEventsBinary("a")]
    assert len({*formats, CloudEvents("a"), JsonFormat()}) == 4


def test_cluster_and_table_stand_beside_the_data() -> None:
    """As extensions of ours."""
    entry: Single = SINGLES["gap"]
    found = attributes(BINARY.single(ID, 7, entry), 0)
    assert (found["kineticatable"], found["kineticacluster"]) == (TABLE, CLUSTER)
    assert found["kineticaoffset"] == f"{7:020d}"
