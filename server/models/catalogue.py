"""The models and profiles that an organization can call, at most five seconds old."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.foundation.clock import Clock
from server.foundation.secrets import Sealer
from server.models import profile_store, store
from server.models.errors import ModelNotFoundError, ModelUnpricedError
from server.models.models import CallableModel, Capabilities, Provider
from server.models.prices import Price, TokenCounts, marked_up
from server.models.profiles import Profile
from server.storage.cache import FreshCache
from server.storage.database import Database, Role

__all__ = ["CallableModel", "Catalogue", "Price", "Provider", "TokenCounts", "credential_place"]

INVALIDATION_KIND: Final = "model"
"""Announced with any subject when models, profiles, providers or prices change."""

_LISTED: Final = "listed"

_Models = Mapping[str, CallableModel]
_Prices = Mapping[str, Price]


def credential_place(provider: str) -> str:
    """What a provider's sealed credential is bound to."""
    return f"provider.sealed_credential/{provider}"


class Catalogue:
    """Models and profiles by name. List prices are loaded once for all; what an organization agreed on, beside."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._listed: FreshCache[str, _Models] = FreshCache(clock, self._load_listed)
        self._agreed: FreshCache[UUID, _Prices] = FreshCache(clock, self._load_agreed)

    def cached(self, model_id: str, org_id: UUID, allowed: frozenset[str]) -> CallableModel | None:
        """The model where it is known and fresh, without waiting. None says nothing: ask `find`."""
        models = self._listed.get(_LISTED)
        agreed = self._agreed.get(org_id)
        if models is None or agreed is None or (allowed and model_id not in allowed):
            return None
        model = models.get(model_id)
        if model is None:
            return None
        model = _priced(model, agreed)
        return model if model.callable else None

    async def find(self, model_id: str, org_id: UUID, allowed: frozenset[str]) -> CallableModel:
        """The model or profile, priced for the organization. `allowed` names those of the caller's key; empty: all.

        Raises `ModelNotFoundError` (also where the key may not call it), `ModelUnpricedError`.
        """
        if allowed and model_id not in allowed:
            raise ModelNotFoundError(model_id)
        models, agreed = await self._load(org_id)
        model = models.get(model_id)
        if model is None:
            raise ModelNotFoundError(model_id)
        model = _priced(model, agreed)
        if not model.callable:
            raise ModelUnpricedError(model_id)
        return model

    async def visible(self, org_id: UUID, allowed: frozenset[str]) -> Sequence[CallableModel]:
        """What the caller can call: models in the configured order, then profiles by name."""
        models, agreed = await self._load(org_id)
        priced = (_priced(model, agreed) for model in models.values() if not allowed or model.name in allowed)
        return [model for model in priced if model.callable]

    async def refresh(self) -> None:
        """Reads what is in use again before what is cached of it grows too old. To be called every second.

        Raises `DatabaseUnavailableError`.
        """
        await self._listed.refresh()
        await self._agreed.refresh()

    def forget(self, subject: str) -> None:
        """Drops everything: models are few, and a provider's change touches many."""
        del subject
        self._listed.forget_all()
        self._agreed.forget_all()

    async def _load(self, org_id: UUID) -> tuple[_Models, _Prices]:
        models, agreed = await self._listed.find(_LISTED), await self._agreed.find(org_id)
        return models or {}, agreed or {}

    async def _load_listed(self, keys: Sequence[str]) -> Mapping[str, _Models]:
        now = self._clock.now()
        async with self._database.shared() as transaction:
            rows = await store.list_models(transaction, now)
            markups = {row["model_id"]: row for row in await store.list_markups(transaction, now)}
            profiles = await profile_store.list_all(transaction)
        providers = {row["provider"]: self._provider(row) for row in rows}
        models = {
            row["id"]: _model(row, providers[row["provider"]], markups.get(row["id"], markups.get(None)))
            for row in rows
        }
        profiled = {row.id: _profiled(models[row.model], row) for row in profiles if row.model in models}
        named = {**models, **{name: model for name, model in profiled.items() if name not in models}}
        return dict.fromkeys(keys, named)

    async def _load_agreed(self, org_ids: Sequence[UUID]) -> Mapping[UUID, _Prices]:
        async with self._database.statement(Role.LOOKUP) as statement:
            rows = await store.lookup_organization_prices(statement, org_ids, self._clock.now())
        agreed: dict[UUID, dict[str, Price]] = {org_id: {} for org_id in org_ids}
        for row in rows:
            agreed[row["org_id"]][row["model_id"]] = _price(row, row["reasoning"])
        return agreed

    def _provider(self, row: asyncpg.Record) -> Provider:
        name: str = row["provider"]
        api_key = self._sealer.open(row["sealed_credential"], credential_place(name)).decode()
        return Provider(name, row["kind"], row["base_url"], api_key)


def _priced(model: CallableModel, agreed: _Prices) -> CallableModel:
    price = agreed.get(model.id)
    return model if price is None else dataclasses.replace(model, price=price)


def _profiled(model: CallableModel, profile: Profile) -> CallableModel:
    bound = profile.max_output_tokens
    longest = model.max_output_tokens if bound is None else min(bound, model.max_output_tokens)
    return dataclasses.replace(model, profile=profile, max_output_tokens=longest)


def _price(row: asyncpg.Record, reasoning: int) -> Price:
    return Price(row["version"], row["input"], row["cache_read"], row["cache_write"], row["output"], reasoning)


def _model(row: asyncpg.Record, provider: Provider, markup: asyncpg.Record | None) -> CallableModel:
    price = None if row["version"] is None else _price(row, row["reasoning_price"])
    if price is not None and markup is not None and markup["parts_per_million"]:
        price = marked_up(price, markup["parts_per_million"], markup["version"])
    create_time: datetime = row["create_time"]
    return CallableModel(
        id=row["id"],
        provider=provider,
        upstream=row["upstream"],
        context_tokens=row["context_tokens"],
        max_output_tokens=row["max_output_tokens"],
        tokenizer=row["tokenizer"],
        price=None if row["free"] else price,
        free=row["free"],
        create_time=create_time,
        reasoning=row["reasoning"],
        max_tokens_field=row["max_tokens_field"],
        image_max_tokens=row["image_max_tokens"],
        audio_second_max_tokens=row["audio_second_max_tokens"],
        file_max_tokens=row["file_max_tokens"],
        capabilities=Capabilities(stream_usage=row["stream_usage"]),
    )
