"""Small stand-ins for the children that do the supervisor's work: `python -m tests.processes.stand_ins NAME`.

They keep the real children's side of the contract and nothing else. Variables make them misbehave:
STAND_IN_CHECK (a sentence: the check fails with it), STAND_IN_PREPARE (the same), STAND_IN_WORKER (`crash`: never
serves; `stubborn`: ignores SIGTERM).
"""

import asyncio
import json
import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import NoReturn

import asyncpg

from cli.launch import Launch

SECRETS = {"api_key": "tb_live_made_up", "admin_email": "admin@localhost", "admin_password": "made-up-once"}


def _fail_if_told(variable: str) -> None:
    sentence = os.environ.get(variable)
    if sentence:
        sys.stderr.write(sentence + "\n")
        raise SystemExit(3)


def check(launch: Launch) -> None:
    """Says that the settings are good, or what STAND_IN_CHECK says."""
    assert launch.result_fd is None
    _fail_if_told("STAND_IN_CHECK")


def prepare(launch: Launch) -> None:
    """Makes the login and one row a start; reports the secrets at the first."""
    _fail_if_told("STAND_IN_PREPARE")
    starts = asyncio.run(_count_start(launch))
    assert launch.result_fd is not None
    with os.fdopen(launch.result_fd, "w") as result:
        json.dump({"model": "smollm2-135m", **(SECRETS if starts == 1 else {})}, result)


async def _count_start(launch: Launch) -> int:
    owner = await asyncpg.connect(launch.database_owner_url, timeout=5)
    try:
        if not await owner.fetchval("SELECT 1 FROM pg_roles WHERE rolname = 'tollbridge'"):
            await owner.execute("CREATE ROLE tollbridge LOGIN")
        await owner.execute("CREATE TABLE IF NOT EXISTS start (at timestamptz DEFAULT now())")
        await owner.execute("GRANT SELECT ON start TO tollbridge")
        await owner.execute("INSERT INTO start DEFAULT VALUES")
    finally:
        await owner.close()
    login = await asyncpg.connect(launch.database_url, timeout=5)
    try:
        return int(await login.fetchval("SELECT count(*) FROM start"))
    finally:
        await login.close()


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{os.getpid()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the inherited name
        """Stays silent."""


def worker(launch: Launch) -> NoReturn:
    """Answers every GET with its process id until SIGTERM."""
    if os.environ.get("STAND_IN_WORKER") == "crash":
        sys.stderr.write("the stand-in gives up\n")
        raise SystemExit(5)
    assert launch.http_fd is not None
    assert launch.ready_fd is not None
    stubborn = os.environ.get("STAND_IN_WORKER") == "stubborn"
    signal.signal(signal.SIGTERM, signal.SIG_IGN if stubborn else lambda *_: os._exit(0))
    grpc = socket.socket()
    grpc.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    grpc.bind((launch.host, launch.grpc_port))
    grpc.listen()
    server = HTTPServer((launch.host, 0), _Answer, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=launch.http_fd)
    with os.fdopen(launch.ready_fd, "wb") as ready:
        ready.write(b"ready\n")
    server.serve_forever()
    raise SystemExit(0)


if __name__ == "__main__":
    {"check": check, "prepare": prepare, "worker": worker}[sys.argv[1]](Launch.from_environment())
