"""From a file to a `Config`, or to every reason why not.

Four passes, each going on where the one before found something wrong: the YAML with the
environment in it (`document`), secrets from their files (`prepare`), the models, sink by sink
(`models`, and what the sinks bring), and what settings mean together (`checks`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bridge.config.admin import Admin
from bridge.config.checks import check
from bridge.config.document import Document, read_document
from bridge.config.files import paths_in
from bridge.config.models import SINK_ID, Config
from bridge.config.nearest import nearest
from bridge.config.prepare import Preparation
from bridge.config.problems import KeyPath
from bridge.config.shape import at, keys, models
from bridge.config.wording import at_path, masked, problems_of
from bridge.errors import ConfigurationError, excerpt
from bridge.sinks import registry
from bridge.sinks.base import SinkSettings

VARIABLE = "KINETICA_BRIDGE_CONFIG"
DEFAULT_FILE = "bridge.yaml"

Model = TypeVar("Model", bound=BaseModel)


def find_file(argument: str | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Say which file is the configuration: the one of `-c`, of the environment, or here."""
    return Path(argument or environment.get(VARIABLE) or DEFAULT_FILE)


def named_files(content: bytes, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the paths of the files that a configuration names, valid or not; none if no YAML."""
    try:
        return list(paths_in(read_document(content, DEFAULT_FILE, environment).data))
    except ConfigurationError:
        return []


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration from a file.

    Raises:
        ConfigurationError: with everything that is wrong, one line each.
    """
    return parse(_content(path), str(path), environment)


def load_address(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[Admin, bool]:
    """Read where the admin endpoint listens, and whether by TLS; the rest may be wrong.

    Raises:
        ConfigurationError: that cannot be read; with everything that is wrong, as of `load`.
    """
    data = read_document(_content(path), str(path), environment).data
    admin = data.get("admin", {}) if isinstance(data, dict) else None
    if isinstance(admin, dict):
        with suppress(ValidationError):
            listen = {key: value for key, value in admin.items() if key == "listen"}
            return Admin.model_validate(listen), "tls" in admin
    loaded = load(path, environment).admin
    return loaded, loaded.tls is not None


def load_again(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[Config, str]:
    """Read the configuration anew, while what it said before runs.

    Returns:
        It, and the SHA-256 of the file in 12 hexadecimal digits: the first that `sha256sum` prints.

    Raises:
        ConfigurationError: as of `load`. Also where the file, or one that it names, is a pipe:
            what was in it is gone, and who opens it may wait for ever.
    """
    _refuse_pipes([path])
    content = _content(path)
    _refuse_pipes(named_files(content, environment))
    return parse(content, str(path), environment), hashlib.sha256(content).hexdigest()[:12]


def _refuse_pipes(paths: Iterable[str | Path]) -> None:
    pipes = [str(path) for path in paths if _is_pipe(path)]
    if pipes:
        reason = "is a pipe, which is read at the start alone; a reload needs a file"
        raise ConfigurationError([f"{path}: {reason}" for path in pipes])


def _is_pipe(path: str | Path) -> bool:
    try:
        return Path(path).is_fifo()
    except OSError:
        return False


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            [f"{path}: {reason.lower()}; name a configuration with -c FILE or in {VARIABLE}"]
        ) from None


def parse(
    content: bytes | str, file: str = DEFAULT_FILE, environment: Mapping[str, str] = os.environ
) -> Config:
    """Read the configuration from the content of a file.

    Args:
        content: YAML, in UTF-8 where it is bytes.
        file: the file's name in messages.
        environment: the variables for `${VAR}`.

    Raises:
        ConfigurationError: with everything that is wrong, one line each.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return _Reading(read_document(content, file, environment)).config()


class _Reading:
    """One document on its way to a `Config`."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems = document.problems
        self._preparation = Preparation(document.problems)

    def config(self) -> Config:
        data = self._document.data
        if not isinstance(data, dict):
            what = "is empty" if data is None else "is no mapping"
            self._problems.add(
                (), f"{what}; it must hold settings: kinetica, tables, sinks and so on"
            )
            self._problems.raise_if_any()
        rest = {key: value for key, value in data.items() if key != "sinks"}
        rest = self._preparation.prepare(Config, rest, ())
        plain, sinks = self._sinks(data.get("sinks"))
        config = self._validated(Config, {**rest, "sinks": sinks}, rest, ())
        check({**rest, "sinks": plain}, self._document.unset, self._problems)
        self._problems.raise_if_any()
        if config is None:  # pragma: no cover (a model that fails has reported why)
            raise ConfigurationError([f"{self._problems.file}:1: the file: not valid"])
        return config

    def _sinks(self, data: Any) -> tuple[dict[str, Any], dict[str, SinkSettings]]:
        """Return the sinks as prepared data, and those that are valid as settings."""
        plain: dict[str, Any] = {}
        valid: dict[str, SinkSettings] = {}
        if data is not None and not isinstance(data, dict):
            self._problems.add(
                ("sinks",),
                "wanted an id with settings for each sink, for example audit: {type: stdout}",
            )
            return plain, valid
        for name, settings in (data or {}).items():
            path = ("sinks", name)
            plain[name] = settings
            if not SINK_ID.fullmatch(name):
                self._problems.add(path, "the id of a sink is of lower-case letters, digits and -")
                continue
            model = self._settings_model(settings, path)
            if model is None:
                continue
            plain[name] = self._preparation.prepare(model, settings, path)
            sink = self._validated(model, plain[name], plain[name], path)
            if sink is not None:
                valid[name] = keep_defaults(sink)
        return plain, valid

    def _settings_model(self, settings: Any, path: KeyPath) -> type[SinkSettings] | None:
        if not isinstance(settings, dict):
            self._problems.add(path, "wanted settings (KEY: VALUE), at least its type")
            return None
        name = settings.get("type")
        if not isinstance(name, str) or not name:
            lack = "required" if name is None else "wanted a name"
            self._problems.add(
                (*path, "type"), f"{lack}; known are {', '.join(registry.available())}"
            )
            return None
        try:
            return registry.find(name).Settings
        except registry.SinkNotFound as error:
            reason = masked(str(error), ("type",), name, self._hidden(path))
            self._problems.add((*path, "type"), reason)
        return None

    def _validated(self, model: type[Model], data: Any, plain: Any, path: KeyPath) -> Model | None:
        """Validate data and report what is wrong with it.

        Args:
            model: what it is to become.
            data: what the model is given.
            plain: the same, without what was validated before.
            path: where it stands in the file.
        """
        hidden = self._hidden(path)
        try:
            return model.model_validate(data)
        except ValidationError as error:
            self._report(problems_of(error, model, plain, hidden), model, plain, path)
        except Exception as error:  # noqa: BLE001 (a sink's own validator may raise anything)
            reason = f"cannot be read: {type(error).__name__}: {error}"
            self._problems.add(path, excerpt(masked(reason, (), plain, hidden)))
        return None

    def _report(
        self,
        found: list[tuple[KeyPath, str]],
        model: type[BaseModel],
        plain: Any,
        path: KeyPath,
    ) -> None:
        unknown = [inner for inner, _ in found if inner and not _is_key(model, inner)]
        meant = {(*inner[:-1], nearest(str(inner[-1]), _keys(model, inner))) for inner in unknown}
        for inner, reason in found:
            # A misspelt key is one problem, not an unknown one and a missing one.
            if inner in meant and at_path(plain, inner) is None:
                continue
            full = (*path, *inner)
            if self._problems.element_settled(full):
                continue  # a list is not right because of what was said of its element
            unset = full in self._document.unset
            empty = f", and {self._document.origins[full]} is empty" if unset else ""
            self._problems.add(self._preparation.files.get(full, full), reason + empty)

    def _hidden(self, path: KeyPath) -> dict[KeyPath, str]:
        """Return what to show in place of values, by their path within the one given."""
        shown = dict(self._document.origins)
        for secret in self._preparation.secrets:
            shown.setdefault(secret, "what stands there")
        length = len(path)
        return {full[length:]: text for full, text in shown.items() if full[:length] == path}


def keep_defaults(settings: SinkSettings) -> SinkSettings:
    """Fill sections that were given in part with the sink's own defaults, not the section's.

    A webhook has `batch.max_events` 500 where others have more; `batch: {max_wait: 1s}` is no
    reason to lose that.
    """
    changed: dict[str, BaseModel] = {}
    for name, field in type(settings).model_fields.items():
        value, default = getattr(settings, name), field.default
        if isinstance(value, BaseModel) and type(value) is type(default):
            given = {inner: getattr(value, inner) for inner in value.model_fields_set}
            changed[name] = default.model_copy(update=given)
    return settings.model_copy(update=changed) if changed else settings


def _keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    return keys(at(model, path[:-1]))


def _is_key(model: type[BaseModel], path: KeyPath) -> bool:
    return not models(at(model, path[:-1])) or str(path[-1]) in _keys(model, path)
