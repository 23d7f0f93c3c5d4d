"""A chat service with one model of the provider double."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.chat.workbench import ModelRow, Workbench, open_workbench
from tests.support.databases import TestDatabase
from tests.support.provider_double import ProviderDouble


@pytest.fixture
async def bench(database: TestDatabase, provider: ProviderDouble) -> AsyncIterator[Workbench]:
    """An organization with 10 dollars; `gpt-double` is answered by the provider double."""
    async with open_workbench(database) as made:
        await made.add_model(ModelRow(), provider.url)
        yield made
