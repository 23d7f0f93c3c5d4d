"""Servers and bridges in processes of their own, over this pytest process's PostgreSQL and Valkey."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support import split
from tests.support.databases import TestDatabase
from tests.support.scratch import scratch_folder

Start = Callable[..., AbstractContextManager[split.Running]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch_folder() as path:
        yield path


@pytest.fixture
def variables(database: TestDatabase, valkey_url: str) -> dict[str, str]:
    """What a server and jobs read."""
    return {"DATABASE_URL": database.url, "REDIS_URL": valkey_url, "JWT_SECRET": split.ROOT_SECRET}


@pytest.fixture
def server(folder: Path, variables: dict[str, str]) -> Start:
    """Starts a server: `server(name, *options, **variables)`."""

    def start(name: str, *options: str, **more: str) -> AbstractContextManager[split.Running]:
        common = ("server", "--grpc-port", "0", "--data-dir", str(folder / "data"))
        return split.running(folder, name, *common, *options, **{**variables, **more})

    return start


@pytest.fixture
def bridge(folder: Path) -> Start:
    """Starts a bridge: `bridge(name, target, *options, **variables)`."""

    def start(name: str, target: str, *options: str, **more: str) -> AbstractContextManager[split.Running]:
        return split.running(folder, name, "bridge", "--target", target, "--http-port", "0", *options, **more)

    return start
