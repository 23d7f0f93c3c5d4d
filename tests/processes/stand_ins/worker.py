"""Answers every GET with its process id until SIGTERM."""

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NoReturn

from cli.launch import Launch
from tests.processes.stand_ins import told


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
        """Stays silent."""


def main(launch: Launch) -> NoReturn:
    """Serves, unless STAND_IN_WORKER says otherwise."""
    if told("STAND_IN_WORKER") == "crash":
        sys.stderr.write("the stand-in gives up\n")
        raise SystemExit(5)
    assert launch.http_fd is not None
    assert launch.ready_fd is not None
    stubborn = told("STAND_IN_WORKER") == "stubborn"
    signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: os._exit(0))
    grpc = socket.socket()
    grpc.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    grpc.bind((launch.host, launch.grpc_port))
    grpc.listen()
    server = HTTPServer((launch.host, 0), _Answer, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=launch.http_fd)
    with os.fdopen(launch.ready_fd, "wb") as ready:
        ready.write(b"ready 10\n")
    server.serve_forever()
    raise SystemExit(0)


if __name__ == "__main__":
    main(Launch.from_environment())
