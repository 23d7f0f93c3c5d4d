"""What processes cost is read from /proc, and charged to the right group."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench import processes
from bench.processes import Process

SPIN = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass\nprint(flush=True)\ninput()"


def test_a_name_with_parentheses_and_spaces_is_read() -> None:
    ticks = processes.TICKS_PER_SECOND
    line = f"7 (a) b (c) S 3 7 5 0 -1 0 0 0 0 0 {ticks} {2 * ticks} {3 * ticks} {4 * ticks} 20 0 1 0"

    assert processes.parse_stat(line) == Process(pid=7, name="a) b (c", parent=3, session=5, cpu_seconds=10.0)


def test_groups_follow_session_and_name() -> None:
    listed = [
        Process(10, "tollbridge", 1, 10, 0),
        Process(11, "python", 10, 10, 0),
        Process(12, "postgres", 10, 12, 0),
        Process(13, "postgres", 12, 13, 0),
        Process(14, "valkey-server", 10, 14, 0),
        Process(15, "python", 10, 15, 0),
        Process(16, "postgres", 1, 16, 0),
    ]

    groups = processes.group(10, {process.pid: process for process in listed})

    found = {name: sorted(process.pid for process in members) for name, members in groups.items()}
    assert found == {"supervisor": [10], "worker": [11], "postgresql": [12, 13], "valkey": [14], "model": [15]}


def test_cpu_time_of_a_child_that_ended_stays_with_its_parent() -> None:
    before = processes.cpu_seconds(os.getpid())["supervisor"]

    subprocess.run([sys.executable, "-c", SPIN], input=b"\n", stdout=subprocess.DEVNULL, check=True)

    assert processes.cpu_seconds(os.getpid())["supervisor"] - before >= 0.19


def test_a_running_child_is_seen_measured_and_moved() -> None:
    core = min(os.sched_getaffinity(0))
    with subprocess.Popen(
        [sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        found = processes.group(child.pid, processes.read_all())
        processes.move(found["supervisor"], {core})

        assert processes.cpu_seconds(child.pid)["supervisor"] >= 0.19
        assert 3 < processes.peak_megabytes(child.pid) < 100
        assert os.sched_getaffinity(child.pid) == {core}
        child.stdin.close()


def test_a_process_that_is_gone_costs_nothing() -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    gone = int(child.stdout)

    assert processes.peak_megabytes(gone) == 0
    assert processes.cpu_seconds(gone) == {}


@pytest.mark.parametrize("root", [0, -1])
def test_an_unknown_root_has_no_tree(root: int) -> None:
    assert processes.tree(root, {1: Process(1, "init", 0, 1, 0)}) == []
