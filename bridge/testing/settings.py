"""Defaults of settings, which pydantic takes as they stand: are they what their types say."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    WrapValidator,
)

# What turns the text of a configuration into a value, or says how it is written there.
_READERS = (AfterValidator, BeforeValidator, PlainValidator, WithJsonSchema, WrapValidator)


def check_defaults(model: type[BaseModel]) -> None:
    """See that each default is a value of its setting, ready for use.

    A duration's is a number of seconds, a size's one of bytes: texts with units are for those who
    write a configuration.

    Raises:
        AssertionError: one is not; the message names the setting.
    """
    for name, field in model.model_fields.items():
        if field.is_required():
            continue
        default = field.get_default(call_default_factory=True)
        limits = [each for each in field.metadata if not isinstance(each, _READERS)]
        wanted = _plain(field.annotation)
        for limit in limits:
            wanted = Annotated[wanted, limit]
        try:
            TypeAdapter(wanted).validate_python(default, strict=True)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise AssertionError(
                f"{model.__name__}.{name}: the default {default!r} is none of its values: {reason}"
            ) from None
        if isinstance(default, BaseModel):
            check_defaults(type(default))


def _plain(annotation: Any) -> Any:
    """Return a type without what turns the texts of a configuration into its values."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return Union[tuple(_plain(each) for each in get_args(annotation))]  # noqa: UP007 (made here)
    return annotation
