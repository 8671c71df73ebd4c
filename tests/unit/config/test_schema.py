"""The JSON Schema accepts what the loader accepts, and says what an editor can show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from bridge.config import json_schema
from bridge.sinks import registry

EXAMPLE = Path(__file__).parents[3] / "deploy" / "bridge.example.yaml"
SMALLEST: dict[str, Any] = {"kinetica": {"urls": "a"}, "tables": [{"name": "s.t"}]}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _errors(validator: Draft202012Validator, data: Any) -> list[str]:
    return [error.message for error in validator.iter_errors(data)]


def test_the_example_is_valid(validator: Draft202012Validator) -> None:
    """What ships completes without a red line."""
    assert _errors(validator, yaml.safe_load(EXAMPLE.read_text())) == []


@pytest.mark.parametrize(
    "data",
    [
        SMALLEST,
        {**SMALLEST, "kinetica": {"urls": ["${A}", "${B}"], "monitor_port": "${PORT:-9002}"}},
        {**SMALLEST, "kinetica": {"urls": "${URLS}", "timeout": "${T}s"}},
        {**SMALLEST, "journal": {"max_size": "${SIZE}", "on_full": "${POLICY:?which}"}},
        {**SMALLEST, "kinetica": {"urls": "a", "tls": {"verify": "${VERIFY}"}}},
        {**SMALLEST, "tables": [{"name": "s.t", "events": ["${EVENT}"], "catch_up": None}]},
        {**SMALLEST, "sinks": None},
        {**SMALLEST, "sinks": {"a": {"type": "stdout", "batch": {"max_events": "${N}"}}}},
    ],
)
def test_a_variable_stands_wherever_a_value_does(
    validator: Draft202012Validator, data: dict[str, Any]
) -> None:
    """Numbers, choices, units and booleans may come from the environment."""
    assert _errors(validator, data) == []


@pytest.mark.parametrize(
    "data",
    [
        {},
        {**SMALLEST, "colour": 1},
        {**SMALLEST, "tables": []},
        {**SMALLEST, "kinetica": {"urls": "a", "timeout": 30}},
        {**SMALLEST, "kinetica": {"urls": "a", "timeout": "30"}},
        {**SMALLEST, "journal": {"max_size": "10 Gi"}},
        {**SMALLEST, "tables": [{"name": "s.t", "on_drop": "halt"}]},
        {**SMALLEST, "sinks": {"A": {"type": "stdout"}}},
        {**SMALLEST, "sinks": {"a": {"type": "nothing"}}},
        {**SMALLEST, "sinks": {"a": {}}},
        {**SMALLEST, "sinks": {"a": {"type": "stdout", "path": "x"}}},
    ],
)
def test_what_the_loader_refuses_is_red_in_an_editor(
    validator: Draft202012Validator, data: dict[str, Any]
) -> None:
    """As far as a schema can tell."""
    assert _errors(validator, data)


def test_defaults_are_written_as_people_write_them() -> None:
    """A default can be copied into the file."""
    definitions = json_schema()["$defs"]

    assert definitions["Kinetica"]["properties"]["timeout"]["default"] == "30s"
    assert definitions["Journal"]["properties"]["max_size"]["default"] == "10GiB"
    assert definitions["Table"]["properties"]["inactivity_timeout"]["default"] == "20m"
    assert definitions["file-Batching"]["properties"]["max_bytes"]["default"] == "4MiB"


def test_every_sink_and_every_setting_is_described() -> None:
    """An editor shows what a setting means, for each sink that is installed."""
    schema = json_schema()
    definitions = schema["$defs"]

    missing = [
        f"{name}.{key}"
        for name, definition in {"": schema, **definitions}.items()
        for key, setting in definition.get("properties", {}).items()
        if "description" not in setting and "const" not in setting and "$ref" not in setting
    ]

    assert missing == []
    assert {f"sink-{name}" for name in registry.available()} <= set(definitions)
