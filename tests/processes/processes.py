"""Looking at processes from outside: who belongs to whom, and whether they are gone."""

import os
import select
import time
from pathlib import Path


def children_of(pid: int) -> dict[int, str]:
    """The living direct children of `pid`: process id to command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[1]) == pid:
            found[int(entry.name)] = command
    return found


def one(children: dict[int, str], word: str) -> int:
    """The one process in `children` with `word` in its command line."""
    matches = [pid for pid, command in children.items() if word in command]
    assert len(matches) == 1, (word, children)
    return matches[0]


def wait_until_gone(pids: list[int], seconds: float) -> None:
    """Returns when every process has ended, reaped or not; fails after `seconds`."""
    give_up = time.monotonic() + seconds
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ready, _, _ = select.select([handle], [], [], max(0.0, give_up - time.monotonic()))
            assert ready, f"process {pid} still runs: {(Path('/proc') / str(pid) / 'cmdline').read_bytes()!r}"
        finally:
            os.close(handle)


def resident_megabytes(pid: int) -> float:
    """The process's highest resident memory so far."""
    for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no memory")
