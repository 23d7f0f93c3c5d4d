"""The image as far as it can be seen without a container engine: what goes into it, and that it runs read-only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import yaml

from tests.processes.ordinary_user import OrdinaryUser, find_ordinary_user
from tests.support.databases import TestDatabase
from tests.support.relay import relayed
from tests.support.scratch import scratch_folder
from tests.support.split import BRIDGE_SECRET, ROOT_SECRET
from tools.image import CHECKOUT, Built, Follower
from tools.image_rules import of_compose, of_dockerfile

SECONDS: Final = 60.0
PACKAGES: Final = [path for path in sys.path if path.endswith("site-packages")]
INSTALLED: Final = {
    "python -m venv": "mkdir -p /venv/bin",
    "/venv/bin/python -m pip": "",
    "python -m compileall": "",
}
"""The packages are those of this environment, which the same file of requirements made."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        path.chmod(0o711)
        yield path


@pytest.fixture
def built(folder: Path) -> Iterator[Built]:
    """The last stage, nothing in it writable but /data."""
    made = Follower(CHECKOUT, folder, INSTALLED).build()
    _chmod(made.root, lambda mode: mode & ~0o222)
    yield made
    _chmod(made.root, lambda mode: mode | 0o700)


def _chmod(root: Path, change: Any) -> None:
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(change(path.stat().st_mode & 0o777))


def test_the_image_holds_what_it_runs_and_nothing_else(built: Built) -> None:
    assert {path.name for path in (built.root / "app").iterdir()} == {"bridge", "cli", "generated", "server", "LICENSE"}
    assert not list(built.root.rglob("*.pyc"))
    assert (built.root / "app/generated/descriptors.binpb").exists()
    assert built.user == "10001:10001"
    assert [command.split()[0] for command in built.skipped] == ["groupadd", "useradd", "chown"]


def test_server_bridge_and_jobs_run_as_an_ordinary_user_with_everything_read_only(
    built: Built, folder: Path, database: TestDatabase, valkey_url: str
) -> None:
    user = find_ordinary_user(folder) if os.geteuid() == 0 else OrdinaryUser(os.geteuid(), sys.executable)
    if user is None:
        pytest.skip("no interpreter is to be found that an ordinary user may run with this checkout")
    data = folder / "volume"
    data.mkdir(mode=0o700)
    os.chown(data, user.id, user.id)
    socket = parse_qs(urlsplit(database.url).query)["host"][0] + "/.s.PGSQL.5432"
    with relayed(socket) as postgres, relayed(urlsplit(valkey_url).path) as valkey:
        core = {
            "ENVIRONMENT": "production",
            "DATABASE_URL": f"postgresql://tollbridge@127.0.0.1:{postgres}/{database.name}",
            "REDIS_URL": f"redis://127.0.0.1:{valkey}/0",
            "JWT_SECRET": ROOT_SECRET,
            "BRIDGE_SECRET": BRIDGE_SECRET,
        }
        serve = ("server", "--grpc-port=0", "--status-port=0", "--no-jobs", f"--data-dir={data}")
        work = ("jobs", "--status-port=0", f"--data-dir={data}")
        with container(built, user, data, serve, core) as server, container(built, user, data, work, core) as jobs:
            edge = ("bridge", f"--target={server['grpc']}", "--http-port=0")
            with container(built, user, data, edge, {"BRIDGE_SECRET": BRIDGE_SECRET}) as bridge:
                for url in (
                    f"{server['status']}/health/ready",
                    f"{jobs['status']}/health/ready",
                    bridge["http"] + "/health/ready",
                ):
                    assert healthy(built, url) == 0
                answer = httpx2.post(
                    f"{bridge['http']}/v1/auth/login", json={"email": "a@b.cd", "password": "12345678"}
                )
                assert answer.status_code == 401
    assert healthy(built, bridge["http"] + "/health") == 1


def healthy(built: Built, url: str) -> int:
    """The status of the image's health check for a container of this address."""
    command = [sys.executable, "-I", "-S", str(built.root / "app/cli/healthy.py")]
    ended = subprocess.run(
        command, env={"TOLLBRIDGE_HEALTH_URL": url}, capture_output=True, timeout=SECONDS, check=False
    )
    return ended.returncode


@contextmanager
def container(
    built: Built, user: OrdinaryUser, data: Path, arguments: tuple[str, ...], variables: dict[str, str]
) -> Iterator[dict[str, str]]:
    """The image's command with these arguments; gives its ready file, and sees that it drains on STOPSIGNAL."""
    ready, log = data / f"{arguments[0]}.ready", data.parent / f"{arguments[0]}.log"
    python = data.parent / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.unlink(missing_ok=True)
    python.symlink_to(user.python)
    # Python 3.11.0 to 3.11.2 want a package that this environment, made by a newer one, need not have.
    (python.parent / "async_timeout.py").write_text("from asyncio import timeout as timeout\n")
    roots = [built.environment["PYTHONPATH"], *PACKAGES, str(python.parent)]
    path = f"{python.parent}:{built.root}/venv/bin:/usr/bin:/bin"
    as_user: dict[str, Any] = {} if user.id == os.geteuid() else {"user": user.id, "group": user.id, "extra_groups": []}
    entry, *_ = built.command
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(built.root / "venv/bin" / entry), *arguments, f"--ready-file={ready}"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=data,
            env={**built.environment, **variables, "PATH": path, "PYTHONPATH": os.pathsep.join(roots)},
            **as_user,
        )
    try:
        give_up = time.monotonic() + SECONDS
        while not ready.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.02)
        yield yaml.safe_load(ready.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


GOOD_DOCKERFILE: Final = (CHECKOUT / "Dockerfile").read_text()
EXAMPLE: Final = (CHECKOUT / ".env.example").read_text()


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("USER 10001:10001", "USER root", "runs as root"),
        ("--require-hashes", "", "without --require-hashes"),
        ("FROM python:3.13-slim-trixie AS", "FROM python AS", "python has no tag"),
        ("STOPSIGNAL SIGTERM", "", "no STOPSIGNAL"),
        ("HEALTHCHECK", "LABEL", "no HEALTHCHECK"),
    ],
)
def test_a_dockerfile_that_went_wrong_is_seen(before: str, after: str, fault: str) -> None:
    assert list(of_dockerfile(GOOD_DOCKERFILE)) == []
    assert any(fault in found for found in of_dockerfile(GOOD_DOCKERFILE.replace(before, after)))


@pytest.mark.parametrize(
    ("service", "key", "value", "fault"),
    [
        ("server", "read_only", False, "server may write"),
        ("bridge", "user", "0", "bridge runs as root"),
        ("postgres", "image", "postgres", "postgres's image has no tag"),
        ("jobs", "command", ["${JWT_SECRET}"], "$JWT_SECRET may be empty"),
        ("jobs", "command", ["${NEW_SECRET:?set it}"], "NEW_SECRET is missing"),
        ("jobs", "depends_on", {"nobody": {}}, "which is no service"),
    ],
)
def test_a_compose_file_that_went_wrong_is_seen(service: str, key: str, value: object, fault: str) -> None:
    content = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
    assert list(of_compose(content, EXAMPLE)) == []
    content["services"][service][key] = value
    assert any(fault in found for found in of_compose(content, EXAMPLE))
