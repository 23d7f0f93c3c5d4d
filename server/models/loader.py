"""Applying a configuration: what it names is added or brought up to date, what it no longer names is disabled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from server.foundation.secrets import Sealer
from server.models import loader_store
from server.models.catalogue import INVALIDATION_KIND, credential_place
from server.models.entries import ModelEntry, PriceEntry, ProviderEntry
from server.storage import invalidation
from server.storage.database import Transaction


async def apply_config(
    transaction: Transaction,
    sealer: Sealer,
    providers: Sequence[ProviderEntry],
    models: Sequence[ModelEntry],
    now: datetime,
) -> None:
    """Makes the catalogue what the entries say, in their order. Repeatable; one process at a time.

    `transaction` is the keeper's or the owner's. Names are unique and every model's provider is among `providers`:
    `config_file` sees to that. A price that changed becomes a new version from `now` on; one that did not stays.
    """
    await loader_store.lock(transaction)
    for provider in providers:
        sealed = sealer.seal(provider.api_key.encode(), credential_place(provider.name))
        await loader_store.upsert_provider(transaction, provider, sealed, now)
    for position, model in enumerate(models):
        await loader_store.upsert_model(transaction, model, position, now)
        await _apply_price(transaction, model, now)
    await loader_store.disable_others(transaction, [row.name for row in providers], [row.name for row in models], now)
    await invalidation.announce(transaction, INVALIDATION_KIND, "configuration")


async def _apply_price(transaction: Transaction, model: ModelEntry, now: datetime) -> None:
    current = await loader_store.current_price(transaction, model.name, now)
    before = None if current is None else _entry(current)
    if before == model.price:
        return
    if model.price is not None:
        await loader_store.insert_price(transaction, model.name, model.price, now)
    elif current is not None:
        await loader_store.end_price(transaction, current[0], now)


def _entry(row: tuple[int, ...]) -> PriceEntry:
    return PriceEntry(*row[1:])
