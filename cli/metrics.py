"""Metrics of several processes as one answer: files in DATA/metrics that each process writes and any may read.

A counter must never fall while we serve, so what an ended process counted is kept: it is added up in one file for each
kind of metric, lest a year of restarts leave thousands of files to be read. Gauges of ended processes go with them.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import prometheus_client
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

_ENDED: Final = "ended"
"""Stands where other files have their process id."""
_TRIES: Final = 3

_File: Any = MmapedDict
_Collector: Any = MultiProcessCollector

_STARTED: Final = Gauge(
    "tollbridge_worker_start_time_seconds",
    "When each worker that runs was started, Unix time; how many there are is their number.",
    multiprocess_mode="liveall",
)


def enter(folder: Path) -> None:
    """Takes this process among those that are counted, and adds up what ended ones left. Call once, at the start.

    The process must have been started with PROMETHEUS_MULTIPROC_DIR set to `folder`. Raises OSError.
    """
    with _turn(folder, fcntl.LOCK_EX):
        for path in sorted(folder.glob("*.db")):
            process = path.stem.rpartition("_")[2]
            if process.isdigit() and not _runs(int(process)):
                _add_up(path)
    _STARTED.set(time.time())


def render(folder: Path) -> bytes:
    """All processes' metrics in Prometheus' text format. Raises OSError."""
    registry = CollectorRegistry()
    _Collector(registry, str(folder))
    for attempt in range(_TRIES):
        try:
            with _turn(folder, fcntl.LOCK_SH):
                return bytes(prometheus_client.generate_latest(registry))
        except struct.error:
            # A process that starts has just made its file, and it is still empty.
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _add_up(path: Path) -> None:
    kind = path.stem.partition("_")[0]
    if kind != "gauge":
        total = _File(str(path.with_name(f"{kind}_{_ENDED}.db")))
        try:
            for key, value, _time, _position in _File.read_all_values_from_file(str(path)):
                total.write_value(key, total.read_value(key)[0] + value, 0.0)
        finally:
            total.close()
    path.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _turn(folder: Path, how: int) -> Iterator[None]:
    """Nobody reads while files are added up, else what they hold would be counted twice or not at all."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)
