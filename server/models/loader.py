"""Applying a configuration: what it names is added or brought up to date, what it no longer names is disabled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from server.foundation.secrets import Sealer
from server.models import loader_store, profile_store
from server.models.catalogue import INVALIDATION_KIND, credential_place
from server.models.entries import ModelEntry, PriceEntry, ProfileEntry, ProviderEntry
from server.models.profiles import Profile
from server.storage import invalidation
from server.storage.database import Transaction


class NameTakenError(Exception):
    """A model or profile is declared under the name of a profile that an administrator made."""

    def __init__(self, section: str, name: str) -> None:
        """`section` is "models" or "profiles"."""
        self.section = section
        self.name = name
        self.reason = f"{name!r} is the name of a profile that an administrator made; remove that, or take another name"
        super().__init__(f"{section}: {self.reason}")


async def apply_config(
    transaction: Transaction,
    sealer: Sealer,
    providers: Sequence[ProviderEntry],
    models: Sequence[ModelEntry],
    now: datetime,
    profiles: Sequence[ProfileEntry] = (),
) -> None:
    """Makes the catalogue what the entries say, in their order. Repeatable; one process at a time.

    `transaction` is the keeper's or the owner's. Names are unique and every model's provider is among `providers`:
    `config_file` sees to that. A price that changed becomes a new version from `now` on; one that did not stays.
    Profiles that administrators made stay as they are; raises `NameTakenError` where one has a declared name.
    """
    await loader_store.lock(transaction)
    present = {profile.id: profile for profile in await profile_store.list_all(transaction)}
    _refuse_taken(present, models, profiles)
    for provider in providers:
        sealed = sealer.seal(provider.api_key.encode(), credential_place(provider.name))
        await loader_store.upsert_provider(transaction, provider, sealed, now)
    for position, model in enumerate(models):
        await loader_store.upsert_model(transaction, model, position, now)
        await _apply_price(transaction, model, now)
    await loader_store.disable_others(transaction, [row.name for row in providers], [row.name for row in models], now)
    await _apply_profiles(transaction, present, profiles, now)
    await invalidation.announce(transaction, INVALIDATION_KIND, "configuration")


def _refuse_taken(
    present: Mapping[str, Profile], models: Sequence[ModelEntry], profiles: Sequence[ProfileEntry]
) -> None:
    made = {name for name, profile in present.items() if not profile.configured}
    for section, entries in (("models", models), ("profiles", profiles)):
        taken = next((entry.name for entry in entries if entry.name in made), None)
        if taken is not None:
            raise NameTakenError(section, taken)


async def _apply_profiles(
    transaction: Transaction, present: Mapping[str, Profile], entries: Sequence[ProfileEntry], now: datetime
) -> None:
    await profile_store.delete_unnamed(transaction, [entry.name for entry in entries])
    for entry in entries:
        before = present.get(entry.name)
        wanted = _declared(entry, before, now)
        if before is None:
            await profile_store.insert(transaction, wanted)
        elif replace(wanted, update_time=before.update_time) != before:
            await profile_store.update(transaction, wanted)


def _declared(entry: ProfileEntry, before: Profile | None, now: datetime) -> Profile:
    return Profile(
        entry.name,
        entry.model,
        entry.prompt,
        now if before is None else before.create_time,
        now,
        entry.description,
        entry.owned_by,
        entry.temperature,
        entry.max_output_tokens,
        configured=True,
        version=1 if before is None else before.version,
    )


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
