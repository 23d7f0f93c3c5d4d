"""How a command finds the database: a real server by DATABASE_URL, else the embedded one of a data directory.

The embedded server is used where it runs already (while `tollbridge serve` does), else started for the command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.postgres import PORT, SUPERUSER, EmbeddedPostgres
from cli.supervisor.services import DATABASE, LOGIN

_SOCKET_LINE: Final = 4


@dataclass(frozen=True, slots=True)
class Reach:
    """Where the database is, and where the root secret lies outside production."""

    url: str
    """As the runtime roles' login."""
    owner_url: str
    """As a login that may migrate."""
    secret_file: Path


@contextmanager
def reach(data_dir: Path) -> Iterator[Reach]:
    """The database of DATABASE_URL, else of `data_dir`. Raises EmbeddedServiceError."""
    secret_file = data_dir / "secret"
    url = os.environ.get("DATABASE_URL")
    if url:
        yield Reach(url, os.environ.get("DATABASE_OWNER_URL") or url, secret_file)
        return
    folder = data_dir / "postgres"
    if not (folder / "data").is_dir():
        raise EmbeddedServiceError(f"There is no database in {data_dir}: set DATABASE_URL, or choose --data-dir.")
    server = EmbeddedPostgres(folder)
    try:
        server.start()
    except EmbeddedServiceError:
        socket = _socket_of_running(folder)
        if socket is None:
            raise
        yield Reach(_dsn(socket, LOGIN), _dsn(socket, SUPERUSER), secret_file)
        return
    try:
        yield Reach(server.dsn(LOGIN, DATABASE), server.dsn(SUPERUSER, DATABASE), secret_file)
    finally:
        server.stop()


def _socket_of_running(folder: Path) -> str | None:
    """The socket folder that a running server wrote into its pid file (PostgreSQL's storage-file-layout)."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    return lines[_SOCKET_LINE] if len(lines) > _SOCKET_LINE else None


def _dsn(socket: str, user: str) -> str:
    return f"postgresql://{quote(user)}@/{DATABASE}?" + urlencode({"host": socket, "port": PORT}, safe="/")
