"""PostgreSQL as a child process: made on the first start, reached through a private unix socket only."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from cli.embedded.child import Child, StopStep, last_lines, rotate_log, start_child
from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.folder_lock import FolderLock
from cli.embedded.postgres_binaries import PostgresBinaries, find_postgres
from cli.embedded.postgres_pid_file import clear_stale_pid_file, is_ready
from cli.embedded.postgres_user import PostgresUser, choose_user, reachable_binaries
from cli.embedded.service_folder import SocketFolder, make_folder

SUPERUSER: Final = "postgres"
PORT: Final = 5432
READY_SECONDS: Final = 60.0
INITDB_SECONDS: Final = 120.0
STOP_SECONDS: Final = 15.0

SMALL_MACHINE: Final[Mapping[str, str]] = {
    "shared_buffers": "96MB",
    "max_connections": "100",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "wal_compression": "pglz",
    "checkpoint_timeout": "15min",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgres:
    """A PostgreSQL cluster that lives in one folder.

    Superuser `postgres`; connections need no password, since only this user can reach the socket, and there is no TCP.
    The server ends with the thread that started it (fast shutdown), so start it from a thread that stays.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        """`settings` go over the defaults for a small machine; `log` defaults to `<folder>/postgres.log`."""
        self._folder = folder.absolute()
        self._data = self._folder / "data"
        self._settings = dict(settings or {})
        self._log = log or self._folder / "postgres.log"
        self._lock = FolderLock(self._folder, "PostgreSQL")
        self._socket = SocketFolder(self._folder, f".s.PGSQL.{PORT}")
        self._child: Child | None = None

    def start(self) -> None:
        """Starts the server, making its cluster when there is none, and returns when it accepts connections.

        Raises EmbeddedServiceError: folder not writable or in use, no PostgreSQL, initdb or the server failed.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """The first half of `start`: the server's process runs, connections may still be refused. Raises the same."""
        # Enterable by name alone, since `nobody` may have to pass; the folders inside are the server's own.
        make_folder(self._folder, 0o711 if os.geteuid() == 0 else 0o700)
        self._lock.acquire()
        try:
            rotate_log(self._log)
            user = choose_user(self._folder)
            binaries = reachable_binaries(user, find_postgres(), self._folder)
            clear_stale_pid_file(self._data)
            if not self._data.exists():
                self._initdb(user, binaries)
            self._socket.make(user.owner)
            self._child = self._spawn(user, binaries)
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """The second half of `start`. Raises EmbeddedServiceError, with the server stopped, when it does not come."""
        give_up = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > give_up:
                self.stop()
                raise EmbeddedServiceError(f"PostgreSQL was not ready in {seconds:.0f} s:\n{last_lines(self._log)}")
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether connections are accepted. Raises EmbeddedServiceError when the server ended."""
        child = self._running()
        if child.poll() is not None:
            self.stop()
            raise EmbeddedServiceError(f"PostgreSQL ended while it started:\n{last_lines(self._log)}")
        return is_ready(self._data, child.pid)

    def ensure_database(self, name: str) -> None:
        """Creates the database `name` unless there is one; raises EmbeddedServiceError. The server must answer."""
        command = [
            *(str(find_postgres().folder / "createdb"), f"--host={self._socket.path}", f"--port={PORT}"),
            *(f"--username={SUPERUSER}", "--maintenance-db=postgres", name),
        ]
        try:
            answer = subprocess.run(
                command, env=_environment(), capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedServiceError(f"The database {name} cannot be created: {error}") from error
        if answer.returncode != 0 and "already exists" not in answer.stderr:
            raise EmbeddedServiceError(f"The database {name} cannot be created: {answer.stderr.strip()}")

    def dsn(self, user: str, database: str) -> str:
        """A `postgresql://` URL through the socket, as asyncpg (and SQLAlchemy, with its driver's name) takes it."""
        query = urlencode({"host": str(self._socket.path), "port": PORT}, safe="/")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{query}"

    @property
    def pid(self) -> int:
        """The server's process id; raises EmbeddedServiceError when it was not started."""
        return self._running().pid

    def poll(self) -> int | None:
        """The server's exit status, or None while it runs."""
        return self._running().poll()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ends the server within `seconds` and frees the folder; open transactions are rolled back. May be repeated.

        A fast shutdown comes first and, for the last fifth of the time, an immediate one, after which the next start
        replays the log (server-shutdown in PostgreSQL's manual).
        """
        if self._child is not None:
            self._child.stop((StopStep(signal.SIGINT, seconds * 0.8), StopStep(signal.SIGQUIT, seconds * 0.2)))
            self._child = None
            self._socket.remove()
        self._lock.release()

    def _running(self) -> Child:
        if self._child is None:
            raise EmbeddedServiceError("PostgreSQL is not running.")
        return self._child

    def _initdb(self, user: PostgresUser, binaries: PostgresBinaries) -> None:
        # Made under another name: what a killed initdb left is never taken for a cluster.
        unfinished = self._folder / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        user.give(unfinished)
        command = [
            *(str(binaries.folder / "initdb"), f"--pgdata={unfinished}", f"--username={SUPERUSER}"),
            *("--locale=C.UTF-8", "--encoding=UTF8", "--auth-local=trust", "--auth-host=reject"),
        ]
        child = start_child(
            command,
            log=self._log,
            death_signal=signal.SIGTERM,
            environment=_environment(),
            become=user.become,
        )
        if _wait(child, INITDB_SECONDS) != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise EmbeddedServiceError(f"initdb failed in {self._folder}:\n{last_lines(self._log)}")
        unfinished.rename(self._data)

    def _spawn(self, user: PostgresUser, binaries: PostgresBinaries) -> Child:
        settings = {
            **SMALL_MACHINE,
            # Workers for reads are three more processes that a small machine gains nothing from.
            **({"io_method": "sync"} if binaries.major >= 18 else {}),
            **self._settings,
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(self._socket.path),
            "unix_socket_permissions": "0700",
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return start_child(
            [str(binaries.folder / "postgres"), "-D", str(self._data), *arguments],
            log=self._log,
            death_signal=signal.SIGINT,
            environment=_environment(),
            become=user.become,
            inherited=(self._lock.file,),
        )


def _environment() -> dict[str, str]:
    """Ours without PostgreSQL's own variables (PGDATA, PGPORT, …), which would bend the server's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C.UTF-8"}


def _wait(child: Child, seconds: float) -> int:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        status = child.poll()
        if status is not None:
            return status
        time.sleep(0.01)
    return child.stop(())
