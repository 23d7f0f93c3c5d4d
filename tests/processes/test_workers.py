"""Several workers: each kept running, all replaced on SIGHUP, and what happens when the new ones are no good."""

import os
import signal
from pathlib import Path

import pytest

from tests.processes.processes import wait_until_gone
from tests.processes.serving import Serving


def test_a_killed_worker_is_started_again_while_the_other_answers(folder: Path) -> None:
    with Serving(folder, local_model=False, workers=2) as serving:
        serving.wait_ready()
        before = serving.workers()
        assert len(before) == 2
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        serving.wait_for_complaint("ended (signal 9)")
        assert serving.answering_worker() in before - {killed}
        serving.wait_for_complaint("serves again")
        assert len(serving.workers()) == 2
        assert serving.stop()[0] == 0


def test_a_hangup_puts_a_new_worker_in_each_place(folder: Path) -> None:
    with Serving(folder, local_model=False, workers=2) as serving:
        serving.wait_ready()
        before = serving.workers()
        serving.process.send_signal(signal.SIGHUP)
        serving.wait_for_complaint("All workers are new (2 in")
        after = serving.workers()
        assert len(after) == 2
        assert not after & before
        assert serving.answering_worker() in after
        said = serving.complaints.decode()
        assert "Worker 0 is new" in said
        assert "Worker 1 is new" in said
        assert said.index("Worker 0 is new") < said.index("Worker 1 is new")
        wait_until_gone(list(before), 1)
        assert serving.stop()[0] == 0


@pytest.mark.parametrize(
    ("part", "wrong", "said"),
    [
        ("STAND_IN_CHECK", "TOLLBRIDGE_X is no number.", "TOLLBRIDGE_X is no number."),
        ("STAND_IN_PREPARE", "config.toml:3: no such provider.", "config.toml:3"),
        ("STAND_IN_WORKER", "crash", "The new worker 0 ended (status 5) before it served"),
    ],
)
def test_what_is_wrong_leaves_the_old_workers_serving(folder: Path, part: str, wrong: str, said: str) -> None:
    telling = folder / "telling"
    with Serving(folder, {part: f"@{telling}"}, local_model=False, workers=2) as serving:
        serving.wait_ready()
        before = serving.workers()
        telling.write_text(wrong)
        serving.process.send_signal(signal.SIGHUP)
        serving.wait_for_complaint("The restart was given up")
        assert said in serving.complaints.decode()
        assert serving.workers() == before
        assert serving.answering_worker() in before
        telling.unlink()
        serving.process.send_signal(signal.SIGHUP)
        serving.wait_for_complaint("All workers are new (2 in")
        assert not serving.workers() & before
        assert serving.stop()[0] == 0


def test_a_worker_that_cannot_start_again_does_not_end_the_others(folder: Path) -> None:
    telling = folder / "telling"
    with Serving(folder, {"STAND_IN_WORKER": f"@{telling}"}, local_model=False, workers=2) as serving:
        serving.wait_ready()
        stays, killed = sorted(serving.workers())
        telling.write_text("crash")
        os.kill(killed, signal.SIGKILL)
        serving.wait_for_complaint("starting it again in 3.2 s")
        assert serving.answering_worker() == stays
        assert serving.stop()[0] == 0


def test_a_stop_during_a_restart_ends_everything(folder: Path) -> None:
    with Serving(folder, local_model=False, workers=2) as serving:
        serving.wait_ready()
        serving.process.send_signal(signal.SIGHUP)
        serving.wait_for_complaint("Worker 0 is new")
        children = serving.children()
        assert serving.stop()[0] == 0
        wait_until_gone(list(children), 1)
