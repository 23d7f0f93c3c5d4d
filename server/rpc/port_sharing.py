"""Listeners of several processes on one gRPC port, and a restart that loses no connection between them.

With SO_REUSEPORT each process has a queue of connections of its own, and the kernel spreads new connections by a hash.
When a listener is closed, what waits in its queue is reset. So before a process closes its listener, nothing new may
reach it: where one more process listens than the deployment has, which is so during a restart only, all new connections
go to the newest one. A classic BPF program of one instruction says so (SO_ATTACH_REUSEPORT_CBPF in socket(7)); an index
beyond the number of listeners means "by hash", so that it says nothing at other times.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Final

import structlog

_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_RETURN_CONSTANT: Final = 0x06
"""BPF_RET | BPF_K of linux/bpf_common.h."""


def prefer_newest(port: int, processes: int) -> None:
    """Sends new connections to the newest listener while more than `processes` share the port.

    To be called by each process that listens, after it does. Where the kernel does not offer it, this is logged: then
    a restart may reset the connections that are being opened at that moment.
    """
    for listener in _listeners(port):
        try:
            _attach(listener, _index_program(processes))
        except OSError as error:
            structlog.get_logger("grpc").warning("connections_not_steered", error=str(error))
        finally:
            listener.close()


def _listeners(port: int) -> Iterator[socket.socket]:
    """Duplicates of this process's listening sockets on the port: grpc does not hand out its own."""
    if not sys.platform.startswith("linux"):
        return
    for name in os.listdir("/proc/self/fd"):
        try:
            candidate = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            # No socket, or the descriptor that the listing itself was read through.
            continue
        if _listens_shared(candidate, port):
            yield candidate
        else:
            candidate.close()


def _listens_shared(candidate: socket.socket, port: int) -> bool:
    if candidate.family not in {socket.AF_INET, socket.AF_INET6} or candidate.type != socket.SOCK_STREAM:
        return False
    options = (socket.SO_ACCEPTCONN, socket.SO_REUSEPORT)
    return all(candidate.getsockopt(socket.SOL_SOCKET, option) for option in options) and (
        candidate.getsockname()[1] == port
    )


def _index_program(index: int) -> bytes:
    return struct.pack("=HBBI", _RETURN_CONSTANT, 0, 0, index)


def _attach(listener: socket.socket, instruction: bytes) -> None:
    """Attaches a program of one instruction, a `struct sock_fprog`. Raises OSError."""
    program = ctypes.create_string_buffer(instruction, len(instruction))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", 1, ctypes.addressof(program)))
