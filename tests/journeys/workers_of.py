"""Which worker a client talks to, seen from outside."""

from __future__ import annotations

import os
from pathlib import Path

from tests.processes.processes import children_of


def workers_of(supervisor: int) -> set[int]:
    """Process ids of a supervisor's workers."""
    return {pid for pid, command in children_of(supervisor).items() if "cli.worker" in command}


def worker_at(workers: set[int], server_port: int, client_port: int) -> int:
    """The worker that holds the server's end of a connection on the loopback interface."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = (f"{server_port:04X}", f"{client_port:04X}")
    inode = next(row[9] for row in rows if (row[1].partition(":")[2], row[2].partition(":")[2]) == ends)
    for worker in workers:
        folder = Path(f"/proc/{worker}/fd")
        if any(_target(folder / name) == f"socket:[{inode}]" for name in os.listdir(folder)):
            return worker
    raise AssertionError(f"none of {workers} holds the connection from port {client_port}")


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""
