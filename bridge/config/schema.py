"""The JSON Schema of the configuration, so that editors complete and check it.

Made from the models and from the settings of every sink that is installed. What the loader
accepts beyond the models is put in: a `*_file` key beside each secret, `${VAR}` wherever a
number, a choice or a pattern is wanted, and defaults in the form in which people write them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from bridge.config.models import SINK_ID, Config
from bridge.config.shape import FILE_SUFFIX
from bridge.sinks import registry
from bridge.units import Duration, Size

_VARIABLE = {"type": "string", "pattern": r"\$\{", "description": "From the environment."}
_CONSTRAINTS = frozenset({"enum", "const", "pattern", "format"})
_SCALARS = frozenset({"integer", "number", "boolean"})

_DURATION = TypeAdapter(Duration).json_schema()["pattern"]
_SIZE = TypeAdapter(Size).json_schema()["pattern"]
_SECONDS = (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0))
_BYTES = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def json_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12, with every sink that is installed."""
    root, definitions = _of_model(Config, "")
    choices = []
    for name, sink in sorted(registry.available().items()):
        schema, inner = _of_model(sink.Settings, f"{name}-")
        schema["properties"]["type"] = {"const": name}
        schema["required"] = sorted({"type", *schema.get("required", ())})
        definitions |= {**inner, f"sink-{name}": schema}
        choices.append({"$ref": f"#/$defs/sink-{name}"})
    root["properties"]["sinks"] |= {
        "type": ["object", "null"],
        "propertyNames": {"pattern": f"^{SINK_ID.pattern}$"},
        "additionalProperties": {"oneOf": choices} if choices else False,
    }
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **root,
        "title": "Configuration of kinetica-bridge",
        "description": "One YAML file; see docs/configuration.md.",
        "$defs": definitions,
    }


def _of_model(model: type[BaseModel], prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of a model, and the definitions it refers to, under a prefix."""
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}{{model}}")
    definitions = {f"{prefix}{name}": inner for name, inner in schema.pop("$defs", {}).items()}
    for one in (schema, *definitions.values()):
        _write_defaults(one, definitions)
    return _finished(schema), {name: _finished(inner) for name, inner in definitions.items()}


def _finished(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that accepts what the loader accepts, without titles."""
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key in {"properties", "patternProperties"}:
            result[key] = {name: _finished(inner) for name, inner in value.items()}
        elif key in {"items", "additionalProperties", "propertyNames"} and isinstance(value, dict):
            result[key] = _finished(value)
        elif key in {"anyOf", "oneOf", "allOf", "prefixItems"}:
            result[key] = [_finished(inner) for inner in value]
        else:
            result[key] = value
    if "properties" in result:
        _add_secret_files(result)
    return _with_variable(result)


def _with_variable(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:
        # Its members were widened one by one; once is enough.
        members = [one["anyOf"][0] if _is_widened(one) else one for one in schema["anyOf"]]
        widened = members != schema["anyOf"]
        return {**schema, "anyOf": [*members, _VARIABLE] if widened else members}
    kind = schema.get("type")
    kinds = set(kind) if isinstance(kind, list) else {kind}
    constrained = kinds <= _SCALARS or bool(_CONSTRAINTS & set(schema))
    if not constrained or schema.get("format") in {"password", "path"}:
        return schema
    notes = {key: schema[key] for key in _notes(schema)}
    rest = {key: value for key, value in schema.items() if key not in notes}
    if "string" in kinds:
        # Bounds on the seconds of a duration mean nothing to its text.
        rest = {key: value for key, value in rest.items() if "inimum" not in key}
    return {**notes, "anyOf": [rest, _VARIABLE]}


def _notes(schema: dict[str, Any]) -> Iterable[str]:
    return [key for key in ("description", "default", "examples") if key in schema]


def _is_widened(schema: dict[str, Any]) -> bool:
    return len(schema.get("anyOf", ())) == 2 and schema["anyOf"][1] is _VARIABLE


def _add_secret_files(schema: dict[str, Any]) -> None:
    """Put the `*_file` key beside each secret, and let either stand, never both."""
    properties = schema["properties"]
    conditions: list[dict[str, Any]] = []
    for name in [name for name, inner in properties.items() if _is_secret(inner)]:
        file = name + FILE_SUFFIX
        if file in properties or name.endswith(FILE_SUFFIX):
            continue
        properties[file] = {
            "type": "string",
            "description": f"File that {name} is read from, without its last line end.",
        }
        conditions.append({"not": {"required": [name, file]}})
        if name in schema.get("required", ()):
            schema["required"] = [other for other in schema["required"] if other != name]
            conditions.append({"anyOf": [{"required": [name]}, {"required": [file]}]})
    if conditions:
        schema["allOf"] = [*schema.get("allOf", ()), *conditions]


def _is_secret(schema: dict[str, Any]) -> bool:
    return any(
        one.get("format") == "password" and one.get("writeOnly")
        for one in (schema, *schema.get("anyOf", ()))
    )


def _write_defaults(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Write each default as people do: `30s`, not 30.0; none where it is None."""
    for inner in schema.get("properties", {}).values():
        if "default" not in inner:
            continue
        default = _written(inner["default"], inner, definitions)
        if default is None:
            del inner["default"]
        else:
            inner["default"] = default


def _written(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    for one in (schema, *schema.get("anyOf", ())):
        if "$ref" in one and isinstance(value, dict):
            properties = definitions[one["$ref"].rpartition("/")[2]]["properties"]
            written = {
                key: _written(inner, properties[key], definitions) for key, inner in value.items()
            }
            return {key: inner for key, inner in written.items() if inner is not None}
        if isinstance(value, int | float) and one.get("pattern") == _DURATION:
            return duration_text(value)
        if isinstance(value, int | float) and one.get("pattern") == _SIZE:
            return size_text(int(value))
    return value


def duration_text(seconds: float) -> str:
    """Write a duration in the largest unit that leaves it whole.

    >>> duration_text(1200.0), duration_text(0.1), duration_text(0.0)
    ('20m', '100ms', '0s')
    """
    for unit, length in _SECONDS:
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def size_text(size: int) -> str:
    """Write a size in the largest unit that leaves it whole.

    >>> size_text(65536)
    '64KiB'
    """
    for unit, length in _BYTES:
        if size >= length and size % length == 0:
            return f"{size // length}{unit}"
    return f"{size}B"
