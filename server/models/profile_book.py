"""The book of profiles: reading them, and how administrators make, change and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from server.audit import entries
from server.foundation.clock import Clock
from server.models import loader_store, profile_store
from server.models.catalogue import INVALIDATION_KIND
from server.models.errors import ProfileConfiguredError, ProfileNameTakenError
from server.models.profiles import Profile
from server.rpc.context import CallContext
from server.rpc.errors import ConflictError, InvalidArgumentError, NotFoundError
from server.storage import invalidation
from server.storage.database import Database, Role, Transaction

_NOUN: Final = "profile"


class ProfileBook:
    """All profiles. Changes wait for a configuration that is being applied, and it for them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list_page(self, names: frozenset[str], after: str | None, limit: int) -> list[Profile]:
        """At most `limit` profiles after a name; `names` are those of the caller's key, empty: all."""
        async with self._database.shared() as transaction:
            return await profile_store.list_page(transaction, after, sorted(names), limit)

    async def get(self, names: frozenset[str], profile_id: str) -> Profile:
        """One profile. Raises `NotFoundError`, also where the caller's key may not call it."""
        if names and profile_id not in names:
            raise NotFoundError(_NOUN)
        async with self._database.shared() as transaction:
            return _found(await profile_store.get(transaction, profile_id))

    async def create(self, context: CallContext, profile_id: str, values: Mapping[str, Any]) -> Profile:
        """Makes a profile. Raises `ProfileNameTakenError`, `InvalidArgumentError`."""
        now = self._clock.now()
        profile = Profile(profile_id, "", "", now, now).changed(values, now)
        async with self._database.privileged(Role.PLATFORM) as transaction:
            await loader_store.lock(transaction)
            if await profile_store.model_in_use(transaction, profile.id):
                raise ProfileNameTakenError(profile.id, "model")
            if await profile_store.get(transaction, profile.id) is not None:
                raise ProfileNameTakenError(profile.id, _NOUN)
            await _check_model(transaction, profile.model)
            await profile_store.insert(transaction, profile)
            await _record(transaction, context, "profile.create", profile.id)
        return profile

    async def update(self, context: CallContext, profile_id: str, values: Mapping[str, Any], etag: str) -> Profile:
        """Changes values of `profiles.CHANGEABLE`. `etag` is empty or the version that the caller read.

        Raises `NotFoundError`, `ProfileConfiguredError`, `ConflictError`, `InvalidArgumentError`.
        """
        async with self._database.privileged(Role.PLATFORM) as transaction:
            await loader_store.lock(transaction)
            current = await _lock(transaction, profile_id, etag)
            wanted = current.changed(values, self._clock.now())
            if wanted.model != current.model:
                await _check_model(transaction, wanted.model)
            updated = await profile_store.update(transaction, wanted)
            await _record(transaction, context, "profile.update", profile_id)
        return updated

    async def delete(self, context: CallContext, profile_id: str) -> None:
        """Removes a profile. Raises `NotFoundError`, `ProfileConfiguredError`."""
        async with self._database.privileged(Role.PLATFORM) as transaction:
            await loader_store.lock(transaction)
            await _lock(transaction, profile_id, "")
            await profile_store.delete(transaction, profile_id)
            await _record(transaction, context, "profile.delete", profile_id)


async def _lock(transaction: Transaction, profile_id: str, etag: str) -> Profile:
    profile = _found(await profile_store.lock(transaction, profile_id))
    if profile.configured:
        raise ProfileConfiguredError(profile.id)
    if etag and etag != profile.etag:
        raise ConflictError(_NOUN)
    return profile


async def _check_model(transaction: Transaction, model: str) -> None:
    if await profile_store.get(transaction, model) is not None:
        raise InvalidArgumentError.of("profile.model", "is a profile itself; name the model behind it")
    if not await profile_store.model_in_use(transaction, model):
        raise InvalidArgumentError.of("profile.model", "is no model of this platform")


async def _record(transaction: Transaction, context: CallContext, action: str, profile_id: str) -> None:
    await invalidation.announce(transaction, INVALIDATION_KIND, profile_id)
    await entries.record(transaction, context, context.principal.org_id, action, f"profiles/{profile_id}")


def _found(profile: Profile | None) -> Profile:
    if profile is None:
        raise NotFoundError(_NOUN)
    return profile
