"""A provider double for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.provider import provider_double


@pytest.fixture
def some_core() -> int:
    """A core that this process may use."""
    return min(os.sched_getaffinity(0))


@pytest.fixture
def start_double(tmp_path: Path, some_core: int) -> Iterator[Callable[..., int]]:
    """Starts doubles, each with one pace, and gives their ports: `start_double("robin", tokens=5)`."""
    with ExitStack() as stack:

        def start(pace: str, tokens: int = 100) -> int:
            double = provider_double([pace], core=some_core, log=tmp_path / "double.log", tokens=tokens, seconds=60)
            return stack.enter_context(double)[0]

        yield start
