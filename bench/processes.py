"""Reads from /proc what processes cost: who they are, their CPU time, their peak memory; and moves them to a core."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat, see proc_pid_stat(5)."""

    pid: int
    name: str
    parent: int
    session: int
    cpu_seconds: float
    """User and system time of all its threads, and of its children that ended and were waited for."""


def parse_stat(line: str) -> Process:
    """Reads /proc/PID/stat. The name stands in parentheses and may itself hold parentheses and spaces."""
    opening, closing = line.index("("), line.rindex(")")
    fields = line[closing + 2 :].split()
    return Process(
        pid=int(line[:opening]),
        name=line[opening + 1 : closing],
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_seconds=sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_SECOND,
    )


def read_all() -> dict[int, Process]:
    """Every process that runs now, by pid."""
    found: dict[int, Process] = {}
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        try:
            process = parse_stat((PROC / entry / "stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[process.pid] = process
    return found


def tree(root: int, processes: Mapping[int, Process]) -> list[Process]:
    """`root` and everything below it."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    waiting = [processes[root]] if root in processes else []
    found: list[Process] = []
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting.extend(children.get(process.pid, ()))
    return found


def group(root: int, processes: Mapping[int, Process]) -> dict[str, list[Process]]:
    """Sorts the tree below a supervisor by what the processes are.

    Tollbridge's own processes stay in the supervisor's session; the embedded services leave it, and PostgreSQL's
    backends have a session each, so those are told by name.
    """
    groups: dict[str, list[Process]] = {}
    for process in tree(root, processes):
        groups.setdefault(_group_of(process, root), []).append(process)
    return groups


def _group_of(process: Process, root: int) -> str:
    if process.pid == root:
        return "supervisor"
    if process.session == root:
        return "worker"
    if process.name.startswith("postgres"):
        return "postgresql"
    if process.name.startswith(("valkey", "redis")):
        return "valkey"
    return "model"


def cpu_seconds(root: int) -> dict[str, float]:
    """CPU time so far of each group below `root`.

    Children that ended count through their parent, so that a group whose members come and go (PostgreSQL's) is whole.
    """
    groups = group(root, read_all())
    return {name: sum(process.cpu_seconds for process in members) for name, members in groups.items()}


def peak_megabytes(pid: int) -> float:
    """The most resident memory that a process ever had (VmHWM), in MB of 10^6 bytes; 0 where it is gone."""
    return _megabytes(pid, "VmHWM:")


def resident_megabytes(root: int) -> dict[str, float]:
    """Resident memory now (VmRSS) of the largest process of each group below `root`, in MB of 10^6 bytes."""
    groups = group(root, read_all())
    return {name: max(_megabytes(process.pid, "VmRSS:") for process in members) for name, members in groups.items()}


def _megabytes(pid: int, field: str) -> float:
    try:
        status = (PROC / str(pid) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    for line in status.splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def move(members: Iterable[Process], cores: set[int]) -> None:
    """Pins every thread of the processes to `cores`; threads and children that they start later inherit it."""
    for process in members:
        for thread in _threads(process.pid):
            try:
                os.sched_setaffinity(thread, cores)
            except ProcessLookupError:
                continue


def _threads(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(PROC / str(pid) / "task")]
    except (FileNotFoundError, ProcessLookupError):
        return []
