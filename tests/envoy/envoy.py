"""Envoy with `deploy/envoy.yaml`, on a socket of its own before a running server."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parent.parent.parent
FILE: Final = ROOT / "deploy" / "envoy.yaml"
_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 10.0


def find_envoy() -> Path | None:
    """The program: the package's, else the one on PATH."""
    package = importlib.util.find_spec("envoy")
    for folder in (package.submodule_search_locations or ()) if package is not None else ():
        program = Path(folder) / "_bin" / "envoy"
        if program.exists():
            return program
    found = shutil.which("envoy")
    return None if found is None else Path(found)


def transcoder(configuration: dict[str, Any]) -> dict[str, Any]:
    """The transcoder's part of a configuration."""
    [listener] = configuration["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    found: dict[str, Any] = manager["http_filters"][0]["typed_config"]
    return found


def read_configuration() -> dict[str, Any]:
    """`deploy/envoy.yaml` as it is."""
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def _moved(grpc_address: str, listening: Path) -> dict[str, Any]:
    """The configuration with other addresses, and nothing else changed."""
    configuration = read_configuration()
    resources = configuration["static_resources"]
    resources["listeners"][0]["address"] = {"pipe": {"path": str(listening)}}
    host, _, port = grpc_address.rpartition(":")
    endpoint = resources["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"]["socket_address"] = {"address": host, "port_value": int(port)}
    found = transcoder(configuration)
    found["proto_descriptor"] = str(ROOT / found["proto_descriptor"])
    return configuration


@contextmanager
def running_envoy(program: Path, grpc_address: str, folder: Path) -> Iterator[Path]:
    """The Unix socket that Envoy listens on, for the length of the block."""
    listening, written, log = folder / "http.sock", folder / "envoy.yaml", folder / "envoy.log"
    written.write_text(yaml.safe_dump(_moved(grpc_address, listening)), encoding="utf-8")
    command = [str(program), "--config-path", str(written), "--disable-hot-restart", "--concurrency", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "-l", "warning"], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait(process, listening, log)
        yield listening
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _wait(process: subprocess.Popen[bytes], listening: Path, log: Path) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while not _answers(listening):
        if process.poll() is not None or time.monotonic() > give_up:
            raise AssertionError(f"Envoy did not start ({process.poll()}):\n{log.read_text()[-4000:]}")
        time.sleep(0.05)


def _answers(listening: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(listening))
        except OSError:
            return False
    return True
