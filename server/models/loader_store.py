"""All SQL that writes the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from datetime import datetime
from typing import Final

from server.models.entries import ModelEntry, PriceEntry, ProviderEntry
from server.storage.database import Transaction

# One configuration at a time; let go at the end of the transaction.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('tollbridge.models.configuration'))"

# A provider as the configuration has it.
_UPSERT_PROVIDER: Final = """
INSERT INTO provider (name, kind, base_url, sealed_credential, create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, base_url = excluded.base_url,
    sealed_credential = excluded.sealed_credential, enabled = true, update_time = excluded.update_time
"""

# A model as the configuration has it; it keeps the time at which it first came.
_UPSERT_MODEL: Final = """
INSERT INTO model (id, provider, upstream, context_tokens, max_output_tokens, tokenizer, free, reasoning,
    max_tokens_field, image_max_tokens, audio_second_max_tokens, file_max_tokens, stream_usage, position,
    create_time, update_time)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)
ON CONFLICT (id) DO UPDATE SET provider = excluded.provider, upstream = excluded.upstream,
    context_tokens = excluded.context_tokens, max_output_tokens = excluded.max_output_tokens,
    tokenizer = excluded.tokenizer, free = excluded.free, reasoning = excluded.reasoning,
    max_tokens_field = excluded.max_tokens_field, image_max_tokens = excluded.image_max_tokens,
    audio_second_max_tokens = excluded.audio_second_max_tokens, file_max_tokens = excluded.file_max_tokens,
    stream_usage = excluded.stream_usage, position = excluded.position, enabled = true,
    update_time = excluded.update_time
"""

# What the configuration no longer names.
_DISABLE_MODELS: Final = "UPDATE model SET enabled = false, update_time = $2 WHERE enabled AND NOT id = ANY ($1)"
_DISABLE_PROVIDERS: Final = (
    "UPDATE provider SET enabled = false, update_time = $2 WHERE enabled AND NOT name = ANY ($1)"
)

# The list price in force.
_CURRENT_PRICE: Final = """
SELECT version, input, cache_read, cache_write, output, reasoning, end_time FROM price_version
WHERE model_id = $1 AND effective_time <= $2 ORDER BY effective_time DESC, version DESC LIMIT 1
"""

# A new list price.
_INSERT_PRICE: Final = """
INSERT INTO price_version (model_id, effective_time, input, cache_read, cache_write, output, reasoning)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""

# A list price that nothing follows.
_END_PRICE: Final = "UPDATE price_version SET end_time = $2 WHERE version = $1"


async def lock(transaction: Transaction) -> None:
    """Waits until no other process applies a configuration."""
    await transaction.execute(_LOCK)


async def upsert_provider(transaction: Transaction, entry: ProviderEntry, sealed: bytes, now: datetime) -> None:
    """Adds the provider or brings it up to date."""
    await transaction.execute(_UPSERT_PROVIDER, entry.name, entry.kind, entry.base_url, sealed, now)


async def upsert_model(transaction: Transaction, entry: ModelEntry, position: int, now: datetime) -> None:
    """Adds the model or brings it up to date."""
    await transaction.execute(
        _UPSERT_MODEL,
        entry.name,
        entry.provider,
        entry.upstream,
        entry.context_tokens,
        entry.max_output_tokens,
        entry.tokenizer,
        entry.free,
        entry.reasoning,
        entry.max_tokens_field,
        entry.image_max_tokens,
        entry.audio_second_max_tokens,
        entry.file_max_tokens,
        entry.stream_usage,
        position,
        now,
    )


async def disable_others(
    transaction: Transaction, providers: Sequence[str], models: Sequence[str], now: datetime
) -> None:
    """Disables every provider and model that is not named."""
    await transaction.execute(_DISABLE_MODELS, list(models), now)
    await transaction.execute(_DISABLE_PROVIDERS, list(providers), now)


async def current_price(transaction: Transaction, model_id: str, now: datetime) -> tuple[int, ...] | None:
    """(version, input, cache_read, cache_write, output, reasoning) in force, or None."""
    row = await transaction.fetchrow(_CURRENT_PRICE, model_id, now)
    if row is None or (row["end_time"] is not None and row["end_time"] <= now):
        return None
    return tuple(row)[:6]


async def insert_price(transaction: Transaction, model_id: str, price: PriceEntry, now: datetime) -> None:
    """A new version from `now` on."""
    await transaction.execute(_INSERT_PRICE, model_id, now, *astuple(price))


async def end_price(transaction: Transaction, version: int, now: datetime) -> None:
    """Ends a version."""
    await transaction.execute(_END_PRICE, version, now)
