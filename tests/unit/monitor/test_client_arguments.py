"""What a client, its callbacks and its options take, and what they refuse, with which words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BridgeError, ConfigurationError
from bridge.monitor import Callback, Client, GPUdbTableMonitor, Options
from bridge.monitor.address import DEFAULT_TIMEOUT, MAX_TIMEOUT, read_address
from bridge.monitor.callbacks import watched

Type = Callback.Type
Mode = Callback.InsertDecodedOptions.DecodeFailureMode
URL = "http://127.0.0.1:9191"


def ignore(value: Any) -> None:
    """Take any value."""


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "inactivity_timeout": st.floats(1e-6, 1e6) | st.integers(1, 10**6),
            "max_retries": st.integers(0, 10**6),
            "wait_interval": st.integers(0, 10**6) | st.floats(0, 1e6),
            "monitor_port": st.integers(1, 65535) | st.none(),
            "instance": st.text(min_size=1).filter(str.strip),
        },
    )
)
def test_options_keep_what_they_are_given(given_options: dict[str, Any]) -> None:
    """Any set of options comes back as it was, the rest as defaults, and makes equal options."""
    options = Options(given_options)

    kept = options.as_dict()
    assert kept == {**Options.default().as_dict(), **given_options}
    assert options.as_json() == Options(kept).as_dict() == Options(**kept).as_dict() == kept


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inactivity_timeout": 0}, "inactivity_timeout: must be minutes, more than 0, not 0"),
        ({"inactivity_timeout": "20"}, "inactivity_timeout: must be minutes"),
        ({"inactivity_timeout": float("nan")}, "inactivity_timeout: must be minutes"),
        ({"max_retries": -1}, "max_retries: must be a whole number, 0 or more, not -1"),
        ({"max_retries": 1.5}, "max_retries: must be a whole number"),
        ({"max_retries": True}, "max_retries: must be a whole number"),
        ({"wait_interval": -0.1}, "wait_interval: must be seconds, 0 or more"),
        ({"monitor_port": 65536}, "monitor_port: must be a port, 1 to 65535"),
        ({"monitor_port": "9002"}, "monitor_port: must be a port"),
        ({"instance": " "}, "instance: must be a name, or None, not ' '"),
        ({"instance": 7}, "instance: must be a name"),
        ({"inactivity": 1}, "inactivity: no such option; known are inactivity_timeout, "),
        ([("max_retries", 1)], "must be a dict"),
    ],
)
def test_options_refuse_what_makes_no_sense(options: Any, words: str) -> None:
    """The error names the option and what would do."""
    with pytest.raises(ConfigurationError) as refused:
        Options(options)
    assert words in str(refused.value)


def test_a_callback_has_what_it_was_given() -> None:
    """Type, functions and options can be read back; the names are those of the vendor's client."""
    options = Callback.InsertDecodedOptions(Mode.ABORT)
    callback = Callback(Type.INSERT_DECODED, ignore, print, options)

    assert callback.callback_type is Type.INSERT_DECODED
    assert callback.event_callback is ignore
    assert callback.error_callback is print
    assert callback.event_options is options
    assert callback.aborts
    assert isinstance(options, Callback.Options)
    assert Type.event_types() == list(Type)
    assert [kind.value for kind in Type.monitor_types()] == [1, 2, 3, 4]
    assert GPUdbTableMonitor.Callback is Callback
    assert GPUdbTableMonitor.Client is Client
    assert GPUdbTableMonitor.Options is Options


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Callback("INSERT_RAW", ignore), "callback_type: must be one of Callback.Type"),
        (lambda: Callback(Type.UPDATED, 7), "event_callback: cannot be called: 7"),
        (lambda: Callback(Type.UPDATED, ignore, "log"), "error_callback: cannot be called: 'log'"),
        (lambda: Callback(Type.INSERT_DECODED, ignore, None, Mode.SKIP), "event_options: must be"),
        (lambda: Callback.InsertDecodedOptions(1), "decode_failure_mode: must be SKIP or ABORT"),
        (lambda: Client(URL, " ", [Callback(Type.UPDATED, ignore)]), "table_name: no name"),
        (lambda: Client(URL, None, [Callback(Type.UPDATED, ignore)]), "table_name: no name"),
        (lambda: Client(URL, "t", None), "callback_list: no event_callback of one of the types"),
        (lambda: Client(URL, "t", [Callback(Type.TABLE_DROPPED, ignore)]), "no event_callback"),
        (lambda: Client(URL, "t", [Callback(Type.UPDATED, None)]), "no event_callback"),
        (lambda: Client(URL, "t", [ignore]), "callback_list: not a Callback"),
        (lambda: Client(URL, "t", [Callback(Type.UPDATED, ignore)], {}), "options: not an Options"),
        (lambda: Client("", "t", [Callback(Type.UPDATED, ignore)]), "db: no URL given"),
        (lambda: Client([], "t", [Callback(Type.UPDATED, ignore)]), "db: no URL given"),
        (lambda: Client([7], "t", [Callback(Type.UPDATED, ignore)]), "db: not a URL: 7"),
        (lambda: Client(None, "t", [Callback(Type.UPDATED, ignore)]), "neither a URL nor a conn"),
        (lambda: Client("ftp://h", "t", [Callback(Type.UPDATED, ignore)]), "is not http[s]://"),
        (lambda: Client("http://h:x", "t", [Callback(Type.UPDATED, ignore)]), "is not http[s]://"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(make: Any, words: str) -> None:
    """Constructors check every argument, say which one is wrong, and do no I/O."""
    with pytest.raises(ConfigurationError) as refused:
        make()
    assert words in str(refused.value)


def test_monitors_are_made_for_what_is_heard_of() -> None:
    """Raw and decoded inserts share one monitor; without a function there is none."""
    assert watched([Callback(kind, ignore) for kind in Type]) == ("insert", "update", "delete")
    assert watched([Callback(Type.DELETED, ignore), Callback(Type.UPDATED, None)]) == ("delete",)


def test_urls_name_a_ring_in_order() -> None:
    """Text parted by commas and a list say the same; spaces and empty parts do not count."""
    text = read_address(" http://a:9191, https://b/gpudb-0 ,, c:9191")

    assert text.urls == ("http://a:9191", "https://b/gpudb-0", "http://c:9191")
    assert read_address(["http://a:9191", "https://b/gpudb-0", "c:9191"]) == text
    assert [cluster.url for cluster in text.make_ring().clusters] == list(text.urls)


def test_a_password_never_stays_in_a_url() -> None:
    """User and password move from the URL to where no log shows them, errors included."""
    address = read_address("http://ann:p%40ss@[::1]:9191")

    assert address.urls == ("http://[::1]:9191",)
    assert (address.access.username, address.access.password) == ("ann", "p@ss")
    assert "p@ss" not in repr(address)
    with pytest.raises(BridgeError) as refused:
        read_address("http://ann:secret@host:port")
    assert "secret" not in str(refused.value)


def test_an_object_like_the_vendors_is_read_by_its_attributes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """URLs of the ring, credentials, token, TLS and time-out; what it lacks has a default."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ca.pem")
    full = SimpleNamespace(
        get_head_node_urls=lambda: ["https://a:8082", "https://b:8082"],
        username="ann",
        password="secret",
        oauth_token="token",
        skip_ssl_cert_verification=True,
        timeout=45,
    )
    address = read_address(full)
    assert address.urls == ("https://a:8082", "https://b:8082")
    access = address.access
    assert (access.username, access.password, access.token) == ("ann", "secret", "token")
    assert (access.verify, access.ca_file) == (False, "/etc/ca.pem")
    assert address.timeout == 45

    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    bare = read_address(SimpleNamespace(gpudb_full_url="http://a:9191", timeout=0))
    assert bare.urls == ("http://a:9191",)
    assert bare.access.verify
    assert bare.timeout == DEFAULT_TIMEOUT
    milliseconds = SimpleNamespace(gpudb_full_url="http://a:9191", timeout=30_000)
    assert read_address(milliseconds).timeout == MAX_TIMEOUT


def test_a_wrong_logging_level_is_refused() -> None:
    """And leaves the level as it was."""
    client = Client(URL, "t", [Callback(Type.UPDATED, ignore)])
    before = client.logging_level

    with pytest.raises(ConfigurationError, match="logging_level"):
        client.logging_level = "LOUD"
    assert client.logging_level == before
