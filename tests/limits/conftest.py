"""Engines on an empty Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.limits.engine import Engine, open_engine


@pytest.fixture
async def engine(valkey_url: str) -> AsyncIterator[Engine]:
    """One process."""
    async with open_engine(valkey_url) as made:
        yield made


@pytest.fixture
async def three(valkey_url: str) -> AsyncIterator[Engine]:
    """Three processes."""
    async with open_engine(valkey_url, 3) as made:
        yield made
