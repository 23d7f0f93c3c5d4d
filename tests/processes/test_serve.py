"""`tollbridge serve` from start to stop, with stand-ins for the children that do the work."""

import json
import os
import re
import signal
import stat
from pathlib import Path

from cli.supervisor.worker_process import GRACE_SECONDS
from tests.processes.ordinary_user import OrdinaryUser
from tests.processes.processes import one, resident_megabytes, wait_until_gone
from tests.processes.serving import Serving
from tests.processes.stand_ins import SECRETS


def test_first_start_serves_hands_out_its_secrets_once_and_stops(folder: Path) -> None:
    with Serving(folder) as serving:
        ready = serving.wait_ready()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ready["http"])
        assert re.fullmatch(r"127\.0\.0\.1:\d+", ready["grpc"])
        assert {name: ready[name] for name in SECRETS} == SECRETS
        assert stat.S_IMODE(serving.ready_file.stat().st_mode) == 0o600

        children = serving.children()
        assert serving.answering_worker() == one(children, "stand_ins")
        assert resident_megabytes(serving.process.pid) < 50

        status, _ = serving.stop()
        assert status == 0
        wait_until_gone(list(children), 1)
    said = serving.output.decode()
    assert not any(secret in said for name, secret in SECRETS.items() if name != "admin_email")
    bootstrap = serving.data / "bootstrap.json"
    assert str(bootstrap) in said
    assert json.loads(bootstrap.read_text()) == SECRETS
    assert stat.S_IMODE(bootstrap.stat().st_mode) == 0o600

    with Serving(folder) as again:
        # The stand-in hands out its secrets at the first row of its table only: the data is still there.
        assert set(again.wait_ready()) == {"http", "grpc"}
        assert "$TOLLBRIDGE_API_KEY" in again.output.decode()
        assert again.stop(signal.SIGTERM)[0] == 0


def test_embedded_children_leave_the_session_and_workers_stay(folder: Path) -> None:
    with Serving(folder) as serving:
        serving.wait_ready()
        children = serving.children()
        worker = one(children, "stand_ins")
        assert os.getsid(worker) == os.getsid(serving.process.pid)
        assert os.getpgid(worker) == os.getpgid(serving.process.pid)
        assert "python" in children[worker]
        for name in ("postgres", "valkey", "model_server"):
            assert os.getsid(one(children, name)) == one(children, name)
        # A terminal's Ctrl-C reaches the whole group; the worker must leave the order of the end to the supervisor.
        os.kill(worker, signal.SIGINT)
        assert serving.answering_worker() == worker
        os.killpg(os.getpgid(serving.process.pid), signal.SIGINT)
        assert serving.wait_end(20)[0] == 0


def test_a_killed_supervisor_takes_everything_along_and_a_new_one_starts(folder: Path) -> None:
    with Serving(folder) as serving:
        serving.wait_ready()
        children = serving.children()
        assert len(children) == 4
        port = int(serving.output.split(b"Bridge: http://127.0.0.1:")[1].split()[0])
        serving.process.kill()
        serving.process.wait()
        with Serving(folder, http_port=port) as again:
            again.wait_ready()
            assert again.stop()[0] == 0
        wait_until_gone(list(children), 1)


def test_a_second_start_on_one_data_directory_is_refused(folder: Path) -> None:
    with Serving(folder, local_model=False) as serving:
        ready = serving.wait_ready()
        with Serving(folder, local_model=False) as second:
            status, said = second.wait_end(10)
        assert status == 1
        assert f"already runs on {serving.data}" in said
        assert f"process {serving.process.pid}" in said
        assert json.loads(serving.ready_file.read_text()) == ready, "the refused start touched the ready file"
        assert serving.answering_worker()


def test_what_crashes_is_started_again(folder: Path) -> None:
    with Serving(folder) as serving:
        serving.wait_ready()
        before = serving.children()
        for name, word in (("Valkey", "valkey"), ("PostgreSQL", "postgres"), ("The local model", "model_server")):
            os.kill(one(before, word), signal.SIGKILL)
            serving.wait_for_complaint(f"{name} was started again")
        os.kill(one(before, "stand_ins"), signal.SIGKILL)
        serving.wait_for_complaint("Worker 0 serves again")
        after = serving.children()
        assert len(after) == len(before)
        assert not set(after) & set(before)
        assert serving.answering_worker() == one(after, "stand_ins")
        assert serving.stop()[0] == 0


def test_a_worker_that_cannot_start_ends_serve_with_its_last_words(folder: Path) -> None:
    with Serving(folder, {"STAND_IN_WORKER": "crash"}, local_model=False) as serving:
        status, said = serving.wait_end(30)
    assert status == 1
    assert said.count("the stand-in gives up") == 5
    assert "Worker 0 could not start 5 times in a row (status 5)" in said
    assert serving.output == b""


def test_a_second_signal_hurries_a_worker_that_does_not_leave(folder: Path) -> None:
    with Serving(folder, {"STAND_IN_WORKER": "stubborn"}, local_model=False) as serving:
        serving.wait_ready()
        children = serving.children()
        serving.process.send_signal(signal.SIGINT)
        serving.wait_for_complaint("Stopping")
        # Sooner than the grace, which would end the worker as well.
        assert serving.stop(seconds=GRACE_SECONDS - 2)[0] == 0
        wait_until_gone(list(children), 1)


def test_wrong_settings_end_the_start_before_anything_is_made(folder: Path) -> None:
    with Serving(folder, {"STAND_IN_CHECK": "JWT_SECRET is too short."}, local_model=False) as serving:
        status, said = serving.wait_end(2)
    assert status == 3
    assert "JWT_SECRET is too short." in said
    assert not (serving.data / "postgres").exists()


def test_a_failed_preparation_stops_what_was_started(folder: Path) -> None:
    with Serving(folder, {"STAND_IN_PREPARE": "DATABASE_URL cannot be reached."}, local_model=False) as serving:
        status, said = serving.wait_end(20)
    assert status == 3
    assert "DATABASE_URL cannot be reached." in said
    assert serving.children() == {}


def test_an_ordinary_user_can_serve(folder: Path, ordinary_user: OrdinaryUser) -> None:
    with Serving(folder, user=ordinary_user, local_model=False) as serving:
        serving.wait_ready()
        owners = {(Path("/proc") / str(pid)).stat().st_uid for pid in serving.children()}
        assert owners == {ordinary_user.id}
        assert serving.stop()[0] == 0
