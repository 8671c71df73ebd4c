"""Plain data made ready for its model: secrets are fetched from the files that hold them.

`password_file: /run/secrets/kinetica` becomes `password`, for any secret of any model, before
the model sees it. On the same walk a section that was left empty becomes one, and what pydantic
would read as something else is refused: `true` where a number belongs, `no` where `false` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.config.problems import KeyPath, Problems
from bridge.config.shape import (
    FILE_SUFFIX,
    holds,
    is_flag,
    is_secret,
    models,
    reads_itself,
    secret_files,
    under,
)

# A secret is a line or a certificate, and a wrong path may name a disk image.
_LONGEST_SECRET = 64 * 1024


@dataclass(slots=True)
class Preparation:
    """What the walk finds out on its way.

    Attributes:
        problems: where it reports.
        secrets: the secret values, by path; they must never be shown.
        files: the path of the `*_file` key that stood for a secret, by the secret's path.
    """

    problems: Problems
    secrets: dict[KeyPath, str] = field(default_factory=dict)
    files: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def prepare(self, annotation: Any, value: Any, path: KeyPath) -> Any:
        """Return a value with its secrets put in.

        Args:
            annotation: what it is to become: a model, or any type.
            value: plain data, not changed.
            path: where it stands in the file.
        """
        if value is None and (models(annotation) or holds(annotation, dict)):
            return None if holds(annotation, type(None)) else {}
        if isinstance(value, dict):
            value = self._with_secrets(annotation, value, path)
            return {
                key: self.prepare(under(annotation, key), inner, (*path, key))
                for key, inner in value.items()
            }
        if isinstance(value, list):
            return [
                self.prepare(under(annotation, index), inner, (*path, index))
                for index, inner in enumerate(value)
            ]
        if isinstance(value, bool) and holds(annotation, int, float):
            if not holds(annotation, bool, str) and not reads_itself(annotation):
                self.problems.add(path, f"wanted a number, not {str(value).lower()}")
        elif is_flag(annotation) and str(value).lower() not in ("true", "false", "none", ""):
            self.problems.add(path, "wanted true or false")
        elif is_secret(annotation) and not str(path[-1]).endswith(FILE_SUFFIX):
            self._note_secret(value, path)
        return value

    def _note_secret(self, value: Any, path: KeyPath) -> None:
        if path in self.files:
            return
        if value is None:
            self.problems.add(
                path,
                "has no value; leave the key out for none, and put text that starts with "
                "# or & in quotes",
            )
        else:
            self.secrets[path] = str(value)

    def _with_secrets(self, annotation: Any, data: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        for model in models(annotation):
            for file_key, key in secret_files(model).items():
                if file_key not in data:
                    continue
                data = dict(data)
                file = data.pop(file_key)
                if key in data:
                    reason = f"both {key} and {file_key} are given; keep one"
                    self.problems.add((*path, file_key), reason)
                    continue
                data[key] = self._read((*path, key), (*path, file_key), file)
        return data

    def _read(self, path: KeyPath, file_path: KeyPath, file: Any) -> str | None:
        self.files[path] = file_path
        try:
            self.secrets[path] = secret = read_secret(file)
        except ValueError as error:
            self.problems.add(file_path, str(error))
            self.problems.settle(path)
            return None
        return secret


def read_secret(file: Any) -> str:
    """Read a secret from a file, without the line end that editors leave there.

    Raises:
        ValueError: there is no such file, or it holds no text, or too much.
    """
    if not isinstance(file, str) or not file:
        raise ValueError("wanted the path of a file that holds the secret")
    if "://" in file:  # not quoted: it may be what the file should hold
        raise ValueError("wanted the path of a file, not an address")
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(_LONGEST_SECRET + 1)
    except OSError as error:
        raise ValueError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        raise ValueError("no path of a file: it holds a character that none may have") from None
    if len(content) > _LONGEST_SECRET:
        raise ValueError(f"{file} holds more than {_LONGEST_SECRET} bytes, which is no secret")
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{file} holds no text in UTF-8") from None
    if not secret:
        raise ValueError(f"{file} is empty")
    return secret
