"""Both codecs, side by side."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import pytest

from bridge.codec import Codec
from bridge.codec.fallback import FallbackCodec
from bridge.events import Schema

MakeCodec = Callable[[Schema], Codec]


@pytest.fixture(scope="session")
def native_codec() -> type[Codec]:
    """The class of the codec in C; skips where it was not built."""
    if importlib.util.find_spec("bridge.codec._native") is None:
        reason = "the compiled codec is not built: make -C csrc dev"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    from bridge.codec.native import NativeCodec

    return NativeCodec


@pytest.fixture(scope="session", params=["c", "fastavro"])
def make_codec(request: pytest.FixtureRequest) -> MakeCodec:
    """Make the codec of a schema; a test that asks for it runs once with each of the two."""
    if request.param == "c":
        native: MakeCodec = request.getfixturevalue("native_codec")
        return native
    return FallbackCodec
