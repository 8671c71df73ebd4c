"""Kinetica's records: validated, joined, decoded, written as lines of JSON.

Here live the Python face of `csrc/` and the fastavro fallback, equal in every result; both
compile a schema once and then know nothing but bytes. Not here: where bytes come from
(`wire`, `monitor`), what stands around a record in an event (`formats`). May import `errors`,
`events` and `types`; alone imports the compiled module.
"""

from __future__ import annotations

import os

from bridge.codec.avro import AvroColumn, AvroForm
from bridge.codec.base import Codec, Joined
from bridge.codec.fallback import FallbackCodec
from bridge.codec.form import Form, Mask, Member, Slot, Template, Values, Written, members
from bridge.errors import ConfigurationError
from bridge.events import Schema

_VARIABLE = "KINETICA_BRIDGE_CODEC"


def _choose() -> tuple[str, type[Codec]]:
    wish = os.environ.get(_VARIABLE, "")
    if wish not in {"", "c", "fastavro"}:
        raise ConfigurationError([f"{_VARIABLE}: must be c, fastavro or empty, not {wish!r}"])
    if wish == "fastavro":
        return "fastavro", FallbackCodec
    try:
        from bridge.codec.native import NativeCodec  # noqa: PLC0415 (absent without a compiler)
    except ImportError as error:
        if wish == "c":
            raise ConfigurationError(
                [f"{_VARIABLE}: no compiled codec ({error}): reinstall with a C compiler at hand"]
            ) from error
        return "fastavro", FallbackCodec
    return "c", NativeCodec


IMPLEMENTATION, _Implementation = _choose()
"""Which codec `compile_schema` makes: `c`, or `fastavro` where C could not be built.

`KINETICA_BRIDGE_CODEC=fastavro` forces the fallback, `=c` refuses to run without C.
"""


def compile_schema(schema: Schema) -> Codec:
    """Make the codec of a schema; keep it, as compiling costs more than a record does.

    Raises:
        ValueError: no columns, two of one name, a name that is no text, or a base type that
            Kinetica does not have.
    """
    return _Implementation(schema)


__all__ = [
    "IMPLEMENTATION",
    "AvroColumn",
    "AvroForm",
    "Codec",
    "Form",
    "Joined",
    "Mask",
    "Member",
    "Slot",
    "Template",
    "Values",
    "Written",
    "compile_schema",
    "members",
]
