"""Looking a name up takes no more time than there is, and connecting goes on to the next place."""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from bridge.loop import Deadline
from bridge.sinks.webhook_places import Places


class Resolver:
    """Answers as it is told, once it is let.

    Attributes:
        asked: how often a name was.
    """

    def __init__(self, *addresses: tuple[str, int]) -> None:
        self.addresses = addresses
        self.let = threading.Event()
        self.asked = 0

    def __call__(self, host: str, port: int, *, type: int, flags: int) -> list[Any]:  # noqa: A002
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "a name")
        self.asked += 1
        self.let.wait(30)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, type, 0, "", address) for address in self.addresses]


def test_a_resolver_that_hangs_is_left_behind() -> None:
    """Whoever asks meanwhile shares the one look-up, and has its answer once it comes."""
    resolver = Resolver(("192.0.2.1", 80))
    places = Places("hook.example", 80, resolver)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            places.find(Deadline(0.05))
    assert resolver.asked == 1
    resolver.let.set()

    assert places.find(Deadline(30)) == [(socket.AF_INET, ("192.0.2.1", 80))]


def test_a_name_is_looked_up_anew_for_each_connection() -> None:
    """A receiver that moved is found, and a failure is not remembered."""
    resolver = Resolver()
    resolver.let.set()
    places = Places("hook.example", 80, resolver)
    with pytest.raises(socket.gaierror, match="Temporary failure"):
        places.find(Deadline(30))
    resolver.addresses = (("192.0.2.7", 80),)

    assert places.find(Deadline(30)) == [(socket.AF_INET, ("192.0.2.7", 80))]


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)
def test_an_address_needs_no_look_up(host: str, family: int) -> None:
    """Nor a thread."""
    before = threading.active_count()

    ((found, address),) = Places(host, 80).find(Deadline(30))

    assert (found, address[:2]) == (family, (host, 80))
    assert threading.active_count() == before


def test_what_is_no_name_is_said() -> None:
    """Some texts cannot even be asked for."""
    with pytest.raises(socket.gaierror, match="no host name"):
        Places("a..b", 80).find(Deadline(30))


def test_the_next_place_is_tried_where_one_refuses() -> None:
    """A name may have addresses that are out of service."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        resolver = Resolver(closed.getsockname(), server.getsockname())
        resolver.let.set()

        with Places("hook.example", 80, resolver).connect(Deadline(30)) as opened:
            assert opened.getpeername() == server.getsockname()


def test_of_places_that_all_refuse_the_last_reason_is_said() -> None:
    """In the operating system's words."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        resolver = Resolver(closed.getsockname())
        resolver.let.set()

        with pytest.raises(ConnectionRefusedError):
            Places("hook.example", 80, resolver).connect(Deadline(30))
