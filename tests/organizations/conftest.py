"""The parts that know people and keys, over a fresh database and an empty Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import Identity, assembled


@pytest.fixture
def clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    return ManualClock()


@pytest.fixture
async def identity(database: TestDatabase, valkey_url: str, clock: ManualClock) -> AsyncIterator[Identity]:
    """Everything assembled."""
    async with assembled(database, valkey_url, clock) as parts:
        yield parts
