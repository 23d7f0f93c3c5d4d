"""Folders for processes: one that everyone may enter, and one that another user owns."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.ordinary_user import OrdinaryUser, find_ordinary_user
from tests.support.scratch import scratch_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a short path that everyone may enter, removed afterwards."""
    with scratch_folder() as path:
        path.chmod(0o711)
        yield path


@pytest.fixture
def ordinary_user(folder: Path) -> OrdinaryUser:
    """An ordinary user who owns `folder`; for root only, since everybody else is one already."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a process as somebody else; every other test here ran as an ordinary user")
    user = find_ordinary_user(folder)
    if user is None:
        pytest.skip("no interpreter is to be found that an ordinary user may run with this checkout")
    os.chown(folder, user.id, user.id)
    return user
