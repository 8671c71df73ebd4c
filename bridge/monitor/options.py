"""How a `Client` behaves: the seed's options under the seed's names, minutes included.

Inside the bridge durations are seconds; the minutes of `inactivity_timeout` exist here alone.
"""

from __future__ import annotations

import math
from typing import Any

from bridge.errors import ConfigurationError

_HIGHEST_PORT = 65535


class Options:
    """The options of a `Client`. Checked when set, read once by `start_monitor`.

    Args:
        _dict: options by name; those not given have their defaults.
        named: the same, as arguments; these count where both name one.

    Attributes:
        inactivity_timeout: minutes of silence after which a table that is proven well is
            called idle, fractions allowed; 20 by default. Whether it *is* well is asked every
            few seconds, whatever this says.
        max_retries: with `wait_interval`, how long `start_monitor` tries; 5 by default.
        wait_interval: seconds; 1 by default.
        monitor_port: the port of the cluster's table monitors; by default None, which asks the
            cluster, and takes 9002 where it does not say.
        instance: a name by which the next run finds the table monitors that a killed one left on
            the cluster, and takes them over; by default None: a run has its own.

    Raises:
        ConfigurationError: an unknown option, or a value that makes no sense for one.

    >>> Options({"inactivity_timeout": 0.1}).as_dict()["inactivity_timeout"]
    0.1
    >>> Options(instance="stock-alerts").instance
    'stock-alerts'
    """

    _NAMES = ("inactivity_timeout", "max_retries", "wait_interval", "monitor_port", "instance")

    def __init__(self, _dict: dict[str, Any] | None = None, **named: Any) -> None:
        self._inactivity_timeout = 20.0
        self._max_retries = 5
        self._wait_interval = 1.0
        self._monitor_port: int | None = None
        self._instance: str | None = None
        if _dict is not None and not isinstance(_dict, dict):
            raise _refusal("options", f"must be a dict of options by name, not {_dict!r}")
        given = {**(_dict or {}), **named}
        unknown = [str(name) for name in given if name not in self._NAMES]
        if unknown:
            known = ", ".join(self._NAMES)
            raise _refusal(", ".join(unknown), f"no such option; known are {known}")
        for name, value in given.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"Options({self.as_dict()})"

    @staticmethod
    def default() -> Options:
        """Return options that all have their defaults."""
        return Options()

    @property
    def inactivity_timeout(self) -> float:
        """Minutes of silence after which a well table is called idle."""
        return self._inactivity_timeout

    @inactivity_timeout.setter
    def inactivity_timeout(self, value: float) -> None:
        if not _is_number(value) or value <= 0:
            raise _refusal("inactivity_timeout", f"must be minutes, more than 0, not {value!r}")
        self._inactivity_timeout = float(value)

    @property
    def max_retries(self) -> int:
        """How many times `wait_interval` fits into the time that `start_monitor` tries."""
        return self._max_retries

    @max_retries.setter
    def max_retries(self, value: int) -> None:
        if not _is_whole(value) or value < 0:
            raise _refusal("max_retries", f"must be a whole number, 0 or more, not {value!r}")
        self._max_retries = value

    @property
    def wait_interval(self) -> float:
        """Seconds; with `max_retries` the time that `start_monitor` tries."""
        return self._wait_interval

    @wait_interval.setter
    def wait_interval(self, value: float) -> None:
        if not _is_number(value) or value < 0:
            raise _refusal("wait_interval", f"must be seconds, 0 or more, not {value!r}")
        self._wait_interval = value

    @property
    def monitor_port(self) -> int | None:
        """The port of the cluster's table monitors, None for the one that the cluster names."""
        return self._monitor_port

    @monitor_port.setter
    def monitor_port(self, value: int | None) -> None:
        if value is not None and not (_is_whole(value) and 0 < value <= _HIGHEST_PORT):
            raise _refusal("monitor_port", f"must be a port, 1 to 65535, or None, not {value!r}")
        self._monitor_port = value

    @property
    def instance(self) -> str | None:
        """The name by which the next run finds this one's monitors, None for no name."""
        return self._instance

    @instance.setter
    def instance(self, value: str | None) -> None:
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise _refusal("instance", f"must be a name, or None, not {value!r}")
        self._instance = value

    def as_dict(self) -> dict[str, Any]:
        """Return options by name, in the units in which the constructor takes them.

        Every one that the vendor's client has too, and `instance` where there is one.
        """
        values = {name: getattr(self, name) for name in self._NAMES}
        if self._instance is None:
            del values["instance"]
        return values

    def as_json(self) -> dict[str, Any]:
        """Return what `as_dict` does; the vendor's client has both names."""
        return self.as_dict()


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _refusal(name: str, reason: str) -> ConfigurationError:
    return ConfigurationError([f"Options: {name}: {reason}"])
