"""Keys in use are read again ahead of time, many in one statement, and a revoked one is never served for it."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from server.keys import store
from server.rpc.errors import CredentialInvalidError
from tests.keys.test_life import create, revoke
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import Identity

_STALE_SECONDS = 3.1


class Statements:
    """The public ids of each look-up; one may be held back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.read = asyncio.Event()
        plain = store.lookup

        async def lookup(statement: Any, public_ids: Any) -> Any:
            rows = await plain(statement, public_ids)
            self.asked.append(list(public_ids))
            self.read.set()
            await self.gate.wait()
            return rows

        monkeypatch.setattr(store, "lookup", lookup)


async def test_keys_that_are_looked_up_together_are_one_statement(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await identity.register()
    made = [await create(identity, owner.access_token) for _ in range(10)]
    statements = Statements(monkeypatch)
    callers = await asyncio.gather(*(identity.principal(key.secret) for key in made))
    assert len({caller.key_id for caller in callers}) == 10
    assert len(statements.asked) == 1


async def test_a_wrong_secret_among_them_is_refused_alone(identity: Identity) -> None:
    owner = await identity.register()
    right, revoked = await create(identity, owner.access_token), await create(identity, owner.access_token)
    await revoke(identity, owner.access_token, revoked.key.id)
    unknown = f"{identity.key_checker.prefix}{'x' * 30}"
    results = await asyncio.gather(
        *map(identity.principal, (right.secret, revoked.secret, unknown)), return_exceptions=True
    )
    assert [type(result).__name__ for result in results] == [
        "Principal",
        "CredentialInvalidError",
        "CredentialInvalidError",
    ]


async def test_a_key_in_use_never_waits_for_the_database_again(
    identity: Identity, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await identity.principal(made.secret)
    statements = Statements(monkeypatch)
    for _ in range(3):
        assert identity.authenticator.try_authenticate(made.secret) is not None
        clock.advance(_STALE_SECONDS)
        await identity.key_checker.refresh()
    assert identity.authenticator.try_authenticate(made.secret) is not None
    assert len(statements.asked) == 3


async def test_a_key_that_is_revoked_while_it_is_read_again_is_dead_at_once(
    identity: Identity, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await identity.principal(made.secret)
    assert identity.authenticator.try_authenticate(made.secret) is not None
    clock.advance(_STALE_SECONDS)
    statements = Statements(monkeypatch)
    statements.gate.clear()
    refreshing = asyncio.ensure_future(identity.key_checker.refresh())
    await statements.read.wait()
    await revoke(identity, owner.access_token, made.key.id)
    statements.gate.set()
    await refreshing
    assert identity.authenticator.try_authenticate(made.secret) is None
    with pytest.raises(CredentialInvalidError):
        await identity.principal(made.secret)


async def test_a_change_that_nobody_announced_is_seen_when_the_key_is_read_again(
    identity: Identity, clock: ManualClock, database: TestDatabase
) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await identity.principal(made.secret)
    assert identity.authenticator.try_authenticate(made.secret) is not None
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("UPDATE api_key SET revoke_time = create_time")
    await connection.close()
    clock.advance(_STALE_SECONDS)
    await identity.key_checker.refresh()
    assert identity.authenticator.try_authenticate(made.secret) is None
