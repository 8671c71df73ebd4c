"""Requests and replies as bytes: Avro or JSON inside the envelope.

A reply in JSON is pure ASCII, since the vendor's client reads it as Latin-1; the reply proper is
a JSON text within the envelope's `data_str`. Source: protocol, sections 1.2, 1.3 and 1.5.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import fastavro

from kinetica_emulator.endpoints import ENVELOPE, Endpoint
from kinetica_emulator.errors import RequestError, unknown_option

BINARY = "application/octet-stream"
JSON = "application/json"


def decode_request(endpoint: Endpoint, content_type: str, body: bytes) -> dict[str, Any]:
    """Read a request.

    Returns:
        All fields of the request record; those missing in JSON have their defaults.

    Raises:
        RequestError: the body is no such request, or has an option key unknown to the call.
    """
    if content_type == JSON:
        request = _decode_json(endpoint, body)
    elif content_type == BINARY:
        request = _decode_binary(endpoint, body)
    else:
        raise RequestError(f"Content-type '{content_type}' is not emulated")
    if endpoint.options is not None:
        for key in request["options"]:
            if key not in endpoint.options:
                raise unknown_option(key)
    return request


def _decode_binary(endpoint: Endpoint, body: bytes) -> dict[str, Any]:
    try:
        request: Any = fastavro.schemaless_reader(io.BytesIO(body), endpoint.request, None)
    except (EOFError, ValueError, IndexError, OverflowError, MemoryError, struct.error) as error:
        raise RequestError(f"{endpoint.path}: request does not decode: {error}") from error
    return dict(request)


def _decode_json(endpoint: Endpoint, body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except ValueError as error:
        raise RequestError(f"{endpoint.path}: request is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise RequestError(f"{endpoint.path}: request is not a JSON object")
    request = {}
    for name, default in endpoint.request_defaults.items():
        value = given.get(name, default)
        if isinstance(default, bool | str | list | dict) and type(value) is not type(default):
            raise RequestError(f"{endpoint.path}: field '{name}' has the wrong type")
        if isinstance(default, int) and not isinstance(value, int):
            raise RequestError(f"{endpoint.path}: field '{name}' is not a whole number")
        request[name] = value
    return request


def encode_reply(endpoint: Endpoint, accept: str, reply: Mapping[str, Any]) -> bytes:
    """Write an OK reply; fields it lacks get their defaults."""
    complete = {**endpoint.reply_defaults, **reply}
    if accept == JSON:
        text = json.dumps(complete, default=_text_of_bytes)
        return _envelope_json("OK", "", endpoint.reply_name, text)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, endpoint.reply, complete)
    return _envelope_binary("OK", "", endpoint.reply_name, stream.getvalue())


def encode_error(accept: str, message: str) -> bytes:
    """Write an ERROR reply."""
    if accept == JSON:
        return _envelope_json("ERROR", message, "none", "")
    return _envelope_binary("ERROR", message, "none", b"")


def _envelope_json(status: str, message: str, data_type: str, data_str: str) -> bytes:
    return json.dumps(
        {
            "status": status,
            "message": message,
            "data_type": data_type,
            "data": "",
            "data_str": data_str,
        }
    ).encode("ascii")


def _envelope_binary(status: str, message: str, data_type: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(
        stream,
        ENVELOPE,
        {
            "status": status,
            "message": message,
            "data_type": data_type,
            "data": data,
            "data_str": "",
        },
    )
    return stream.getvalue()


def _text_of_bytes(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return dict(value)
