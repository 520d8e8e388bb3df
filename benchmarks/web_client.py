"""
A worker as an HTTP client: raw sockets, which cost a small part of a server.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter, process_time

BODY = b"hello\n"  # what every answer ends with
HELLO, WHOSE = "hello", "whose"  # what can be asked for

AT_ONCE = 8  # connections
ANSWER_WITHIN = 20  # seconds


def load(port: int, requests: int, keep_alive: bool) -> dict[str, float]:
    """
    Ask for the same small page, over and over, on several connections at once.

    Gives seconds from the first request to the last answer, and the CPU time of
    this process.

    Args:
        keep_alive: Whether connections are used again, or new for each request.
    """
    began, cpu_began = perf_counter(), process_time()
    rounds = requests // AT_ONCE
    if keep_alive:
        with _connections(port) as sockets:
            for _ in range(rounds):
                _ask_all(sockets, _request(HELLO))
    else:
        for _ in range(rounds):
            with _connections(port) as sockets:
                _ask_all(sockets, _request(HELLO, b"Connection: close\r\n"))
    return {
        "seconds": perf_counter() - began,
        "cpu": process_time() - cpu_began,
        "requests": rounds * AT_ONCE,
    }


def whose(port: int) -> str:
    """Whether the server says that its cell's context is there: True or False."""
    with _connections(port, 1) as (one,):
        one.sendall(_request(WHOSE))
        return _answer(one).rpartition(b"\r\n")[2].removesuffix(BODY).decode()


@contextmanager
def _connections(port: int, number: int = AT_ONCE) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", port), ANSWER_WITHIN)
            )
            for _ in range(number)
        ]


def _request(page: str, header: bytes = b"") -> bytes:
    return b"GET /%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (page.encode(), header)


def _ask_all(sockets: list[socket.socket], request: bytes) -> None:
    for one in sockets:
        one.sendall(request)
    for one in sockets:
        _answer(one)


def _answer(one: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(BODY):
        received = one.recv(4096)
        if not received:
            raise RuntimeError(f"the server closed the connection after {answer!r}")
        answer += received
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"the server answered {answer!r}")
    return answer
