"""What a model looks like from outside: its keys, and what stands under each.

Annotations are read rather than the models changed, so the settings of any sink, written by
anyone, get their `*_file` twins and their suggestions without doing anything for it.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

FILE_SUFFIX = "_file"


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the types an annotation allows, each without its `Annotated`.

    >>> alternatives(int | None)
    (<class 'int'>, <class 'NoneType'>)
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return alternatives(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return tuple(one for part in get_args(annotation) for one in alternatives(part))
    return (annotation,)


def models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """Return the models among the types an annotation allows."""
    return tuple(
        one
        for one in alternatives(annotation)
        if isinstance(one, type) and get_origin(one) is None and issubclass(one, BaseModel)
    )


def is_secret(annotation: Any) -> bool:
    """Say whether a value of this annotation is a secret."""
    return any(one is SecretStr or one is SecretBytes for one in alternatives(annotation))


def is_flag(annotation: Any) -> bool:
    """Say whether nothing but `true` and `false` stands there, or nothing at all.

    >>> is_flag(bool | None), is_flag(bool | str)
    (True, False)
    """
    kinds = alternatives(annotation)
    return bool in kinds and all(one in (bool, types.NoneType) for one in kinds)


def holds(annotation: Any, *kinds: Any) -> bool:
    """Say whether an annotation allows one of these types, parametrised or not."""
    return any(one in kinds or get_origin(one) in kinds for one in alternatives(annotation))


def reads_itself(annotation: Any) -> bool:
    """Say whether a validator of its own reads the value, as for a duration."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        return reads_itself(inner) or any(isinstance(note, BeforeValidator) for note in notes)
    return any(reads_itself(one) for one in get_args(annotation))


def fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return a model's fields by the key that stands for them in a file."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: field
        for name, field in model.model_fields.items()
    }


def secret_files(model: type[BaseModel]) -> dict[str, str]:
    """Return the `*_file` keys of a model, each with the key of the secret it stands for.

    A model that has a field of that name itself keeps it, and reads the file itself.
    """
    known = fields(model)
    return {
        key + FILE_SUFFIX: key
        for key, field in known.items()
        if is_secret(field.annotation)
        and not key.endswith(FILE_SUFFIX)
        and key + FILE_SUFFIX not in known
    }


def keys(annotation: Any) -> list[str]:
    """Return every key that is valid under an annotation, `*_file` after its secret."""
    valid: list[str] = []
    for model in models(annotation):
        twins = {secret: file for file, secret in secret_files(model).items()}
        for key in fields(model):
            valid += [key, twins[key]] if key in twins else [key]
    return list(dict.fromkeys(valid))


def under(annotation: Any, key: str | int) -> Any:
    """Return the annotation of what stands under a key or index, None where it is free."""
    for one in alternatives(annotation):
        arguments = get_args(one)
        if isinstance(key, int) and arguments:
            if get_origin(one) in {list, tuple, set, frozenset} or len(arguments) == 1:
                return arguments[0]
        elif isinstance(key, str) and len(arguments) == 2 and _is_mapping(one):
            return arguments[1]
    for model in models(annotation):
        field = fields(model).get(str(key))
        if field is not None:
            return (
                Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            )
    return None


def at(annotation: Any, path: tuple[str | int, ...]) -> Any:
    """Return the annotation of what stands at a path, None where it is free."""
    for key in path:
        annotation = under(annotation, key)
    return annotation


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)
