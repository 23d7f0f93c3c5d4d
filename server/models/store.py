"""All SQL of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

# Every model that can be called, with its provider and the list price in force, in the configured order.
_LIST_MODELS: Final = """
SELECT m.*, p.kind, p.base_url, p.sealed_credential,
       l.version, l.input, l.cache_read, l.cache_write, l.output, l.reasoning AS reasoning_price
FROM model m
JOIN provider p ON p.name = m.provider
LEFT JOIN LATERAL (
    SELECT * FROM price_version v WHERE v.model_id = m.id AND v.effective_time <= $1
    ORDER BY v.effective_time DESC, v.version DESC LIMIT 1
) l ON l.end_time IS NULL OR l.end_time > $1
WHERE m.enabled AND p.enabled
ORDER BY m.position, m.id
"""

# The markup in force for each model, and under NULL for all others.
_LIST_MARKUPS: Final = """
SELECT DISTINCT ON (model_id) model_id, version, parts_per_million FROM price_markup WHERE effective_time <= $1
ORDER BY model_id, effective_time DESC, version DESC
"""

# The agreed prices in force of some organizations.
_LOOKUP_ORGANIZATION_PRICES: Final = "SELECT * FROM lookup_organization_prices($1, $2)"


async def list_models(transaction: Transaction, now: datetime) -> Sequence[asyncpg.Record]:
    """Rows of models with provider and list price; price columns are NULL where none is in force."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_MODELS, now)
    return rows


async def list_markups(transaction: Transaction, now: datetime) -> Sequence[asyncpg.Record]:
    """Rows of (model_id, version, parts_per_million)."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_MARKUPS, now)
    return rows


async def lookup_organization_prices(
    statement: Transaction, org_ids: Sequence[UUID], now: datetime
) -> Sequence[asyncpg.Record]:
    """Rows of what these organizations agreed on, one a model of each. For role `lookup`."""
    rows: Sequence[asyncpg.Record] = await statement.fetch(_LOOKUP_ORGANIZATION_PRICES, org_ids, now)
    return rows
