"""The text of a scrape: the library writes each line once, later scrapes put in its value.

A thousand tables have fifty thousand lines. What the library does for each of them, an object,
checks and escapes of names and labels, comes to the same at every scrape.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Self

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from bridge.loop import give_way

_MOST_TYPES = 2  # whose lines are kept: what Prometheus asks for, and what a browser does
_LINES_A_TURN = 500

_Encode = Callable[[Collector], bytes]


def joined(*labels: str) -> str:
    """Return the values of a sample's labels as a family has them: with a NUL between them."""
    return "\0".join(labels)


@dataclass(frozen=True, slots=True)
class Family:
    """A counter or gauge with all its samples.

    They are numbers and text: of tuples so many would have the garbage collector look through
    all that the service has, every few scrapes, with all threads at rest.

    Attributes:
        kind: what it is to the library.
        name, text: its name without `_total`, and its description.
        names: of the labels.
        labels: their values, of each sample, `joined`.
        values: of the samples.
    """

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    text: str
    names: tuple[str, ...]
    labels: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, labels: tuple[str, ...], value: float) -> None:
        """Add a sample."""
        self.labels.append(joined(*labels))
        self.values.append(value)

    def extend(self, labels: Iterable[str], values: Iterable[float]) -> Self:
        """Add many samples, the labels of each `joined`; return the family."""
        self.labels.extend(labels)
        self.values.extend(values)
        give_way()
        return self

    def metric(self) -> Metric:
        """Return it as the library has it."""
        metric = self.kind(self.name, self.text, labels=self.names)
        for labels, value in zip(self.labels, self.values, strict=True):
            metric.add_metric(labels.split("\0"), value)
        return metric


class Exposition:
    """Writes what is collected. Any thread may ask.

    Args:
        collect: gives all families; those of the library are written by it.
    """

    def __init__(self, collect: Callable[[], Iterable[Family | Metric]]) -> None:
        self._collect = collect
        self._forms: dict[str, dict[str, _Form]] = {}  # by content type and family

    def write(self, accept: str) -> tuple[bytes, str]:
        """Return the text in the form that is accepted, and its content type."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that the library does not understand
            encode, content_type = choose_encoder("")
        forms = self._forms.setdefault(content_type, {})
        for oldest in list(self._forms)[:-_MOST_TYPES]:
            self._forms.pop(oldest, None)
        parts = []
        for family in self._collect():
            if isinstance(family, Metric):
                parts.append(_text(encode, family))
                continue
            form = forms.get(family.name)
            if form is None or form.labels != family.labels:
                form = forms[family.name] = _Form.of(family, encode)
            parts.append(form.text(family.values))
        parts.append(_end(encode))
        return "".join(parts).encode(), content_type


@dataclass(frozen=True, slots=True)
class _Form:
    """The text of a family without its values.

    Attributes:
        labels: of the samples.
        before: what is written before each value.
        end: what is written after the last one.
        last: the values of some lines and their text, as they were written last, by their place.
    """

    labels: list[str]
    before: list[str]
    end: str
    last: dict[int, tuple[bytes, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, family: Family, encode: _Encode) -> Self:
        """Have the library write a family, and take its values out."""
        before, head = [], ""
        for line in _text(encode, family.metric()).split("\n")[:-1]:
            if line.startswith("#"):
                head += f"{line}\n"
            else:
                before.append(head + line[: line.rindex(" ") + 1])
                head = "\n"
        return cls(family.labels, before, head)

    def text(self, values: Sequence[float]) -> str:
        """Return the text with these values; most lines of most scrapes are those of the last."""
        written: list[str] = []
        for place in range(0, len(values), _LINES_A_TURN):
            some = array("d", values[place : place + _LINES_A_TURN])
            bits = some.tobytes()  # which tell 0 from -0
            known, text = self.last.get(place, (b"", ""))
            if known != bits:
                before = self.before[place : place + _LINES_A_TURN]
                lines = zip(before, map(floatToGoString, some), strict=True)
                text = "".join(chain.from_iterable(lines))
                self.last[place] = bits, text
                give_way()
            written.append(text)
        return "".join([*written, self.end])


class _Only(Collector):
    """Collects what it is given."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _text(encode: _Encode, metric: Metric) -> str:
    return encode(_Only([metric])).decode().removesuffix(_end(encode))


def _end(encode: _Encode) -> str:
    """Return what is written after all families."""
    return encode(_Only([])).decode()
