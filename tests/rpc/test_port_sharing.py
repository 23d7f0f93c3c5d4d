"""New connections go to the newest process while one too many listens, and to all otherwise."""

from __future__ import annotations

import socket
import sys
from collections import Counter

import pytest

from server.rpc.port_sharing import prefer_newest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux steers connections")

_MANY = 60


def _listener(port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(_MANY)
    listening.setblocking(False)
    return listening


def _spread(port: int, listeners: list[socket.socket]) -> Counter[int]:
    """How many of many new connections each listener got, by its place in the list."""
    clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(_MANY)]
    found: Counter[int] = Counter()
    for place, listening in enumerate(listeners):
        while True:
            try:
                accepted, _ = listening.accept()
            except BlockingIOError:
                break
            accepted.close()
            found[place] += 1
    for client in clients:
        client.close()
    assert found.total() == _MANY
    return found


def test_a_successor_gets_all_new_connections_until_its_predecessor_is_gone() -> None:
    one = _listener(0)
    port = one.getsockname()[1]
    other = _listener(port)
    try:
        prefer_newest(port, 2)
        assert set(_spread(port, [one, other])) == {0, 1}, "both share while nobody restarts"
        successor = _listener(port)
        assert set(_spread(port, [one, other, successor])) == {2}
        one.close()
        assert set(_spread(port, [other, successor])) == {0, 1}, "both share again"
        second = _listener(port)
        assert set(_spread(port, [other, successor, second])) == {2}, "the next restart needs no new word"
        second.close()
        successor.close()
    finally:
        one.close()
        other.close()
