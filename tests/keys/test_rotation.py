"""New secrets: once, with an overlap or without, and never wider than who asks."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from server.keys.errors import KeyEndedError
from server.rpc.errors import (
    ApiError,
    CredentialInvalidError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
)
from tests.keys.test_life import create, listed, revoke, update
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import Identity
from tollbridge.keys.v1 import key_pb2, key_service_pb2

Rotated = key_service_pb2.RotateKeyResponse
Regenerated = key_service_pb2.RegenerateKeyResponse


async def rotate(identity: Identity, credential: str, key_id: str, overlap: int = 0) -> Rotated:
    request = key_service_pb2.RotateKeyRequest(id=key_id, overlap_seconds=overlap)
    return await identity.keys.rotate_key(request, await identity.as_caller(credential))


async def regenerate(identity: Identity, credential: str) -> Regenerated:
    request = key_service_pb2.RegenerateKeyRequest()
    return await identity.keys.regenerate_key(request, await identity.as_caller(credential))


async def revoke_secret(identity: Identity, credential: str, secret: str = "") -> key_pb2.Key:
    request = key_service_pb2.RevokeSecretRequest(secret=secret)
    return await identity.keys.revoke_secret(request, await identity.as_caller(credential))


async def is_dead(identity: Identity, secret: str) -> bool:
    try:
        await identity.principal(secret)
    except CredentialInvalidError:
        return True
    return False


async def test_both_secrets_work_until_the_overlap_ends(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, name="ci", models=["a"])
    await identity.principal(made.secret)
    clock.advance(1)
    rotated = await rotate(identity, owner.access_token, made.key.id, 3600)
    assert rotated.key.id == made.key.id
    assert rotated.secret != made.secret
    assert (rotated.key.name, list(rotated.key.models)) == ("ci", ["a"])
    assert rotated.key.previous_masked == made.key.masked
    assert rotated.key.masked != made.key.masked
    (shown,) = await listed(identity, owner.access_token)
    assert shown == rotated.key
    assert shown.previous_expire_time.ToDatetime() == (clock.now() + timedelta(hours=1)).replace(tzinfo=None)
    for secret in (made.secret, rotated.secret):
        assert (await identity.principal(secret)).models == {"a"}
    clock.advance(3600)
    assert await is_dead(identity, made.secret)
    assert identity.authenticator.try_authenticate(made.secret) is None
    assert not await is_dead(identity, rotated.secret)


async def test_without_an_overlap_the_old_secret_is_dead_at_once(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await identity.principal(made.secret)
    rotated = await rotate(identity, owner.access_token, made.key.id)
    assert await is_dead(identity, made.secret)
    assert not await is_dead(identity, rotated.secret)


async def test_a_second_rotation_ends_the_first_overlap_and_revoking_ends_both(identity: Identity) -> None:
    owner = await identity.register()
    first = await create(identity, owner.access_token)
    second = await rotate(identity, owner.access_token, first.key.id, 3600)
    for secret in (first.secret, second.secret):
        await identity.principal(secret)
    third = await rotate(identity, owner.access_token, first.key.id, 3600)
    assert await is_dead(identity, first.secret)
    for secret in (second.secret, third.secret):
        await identity.principal(secret)
    await revoke(identity, owner.access_token, first.key.id)
    assert [await is_dead(identity, one.secret) for one in (first, second, third)] == [True, True, True]
    with pytest.raises(KeyEndedError):
        await rotate(identity, owner.access_token, first.key.id)


async def test_other_processes_hear_of_both_secrets(identity: Identity, database: TestDatabase) -> None:
    owner = await identity.register()
    first = await create(identity, owner.access_token)
    second = await rotate(identity, owner.access_token, first.key.id, 3600)
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("DELETE FROM invalidation")
    await rotate(identity, owner.access_token, first.key.id)
    told = {row["subject"] for row in await connection.fetch("SELECT subject FROM invalidation WHERE kind = 'key'")}
    await connection.close()
    assert told == {first.secret[8:24], second.secret[8:24]}


async def test_a_rotation_reaches_no_further_than_its_caller(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    wide = await create(identity, owner.access_token)
    end = clock.now() + timedelta(days=1)
    for bounds in ({"models": ["a"]}, {"allowed_cidrs": ["203.0.113.0/24"]}, {"expire_time": end}):
        maker = await create(identity, owner.access_token, scopes=["manage"], **bounds)
        with pytest.raises(PermissionDeniedError):
            await rotate(identity, maker.secret, wide.key.id)
        mine = await rotate(identity, maker.secret, maker.key.id)
        assert not await is_dead(identity, mine.secret)


async def test_a_key_makes_no_key_that_outlives_it(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    end = clock.now() + timedelta(days=1)
    maker = await create(identity, owner.access_token, scopes=["manage"], expire_time=end)
    for longer in ({}, {"expire_time": end + timedelta(seconds=1)}):
        with pytest.raises(PermissionDeniedError):
            await create(identity, maker.secret, **longer)
    made = await create(identity, maker.secret, expire_time=end)
    with pytest.raises(PermissionDeniedError):
        wanted = key_pb2.Key(id=made.key.id)
        wanted.expire_time.FromDatetime(end + timedelta(days=9))
        await update(identity, maker.secret, wanted, "expire_time")


async def test_rotating_while_the_key_is_used_never_refuses_a_secret_in_its_overlap(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    secrets, begun = [made.secret], 0

    async def use() -> None:
        for _ in range(100):
            index = len(secrets) - 1
            identity.key_checker.forget(secrets[index][8:24])
            dead = await is_dead(identity, secrets[index])
            assert not dead or begun - index > 1, "a secret died before its second rotation"

    async def turn() -> None:
        nonlocal begun
        for _ in range(5):
            begun += 1
            rotated = await rotate(identity, owner.access_token, made.key.id, 60)
            secrets.append(rotated.secret)

    await asyncio.gather(use(), use(), turn())
    assert [await is_dead(identity, secret) for secret in secrets] == [True] * 4 + [False] * 2


async def test_parallel_rotations_leave_two_secrets(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    turns = await asyncio.gather(*(rotate(identity, owner.access_token, made.key.id, 60) for _ in range(10)))
    alive = [turn.secret for turn in turns if not await is_dead(identity, turn.secret)]
    assert len(alive) == 2
    assert len({turn.key.etag for turn in turns}) == 10


async def test_a_person_regenerates_one_personal_key(identity: Identity) -> None:
    owner = await identity.register()
    first = await regenerate(identity, owner.access_token)
    assert first.key.personal
    assert list(first.key.scopes) == ["chat"]
    await identity.principal(first.secret)
    second = await regenerate(identity, owner.access_token)
    assert second.key.id == first.key.id
    assert [await is_dead(identity, one.secret) for one in (first, second)] == [True, False]
    await revoke(identity, owner.access_token, first.key.id)
    third = await regenerate(identity, owner.access_token)
    assert third.key.id != first.key.id
    assert [await is_dead(identity, one.secret) for one in (second, third)] == [True, False]


async def test_first_calls_that_race_leave_one_personal_key(identity: Identity) -> None:
    owner = await identity.register()
    tries = await asyncio.gather(*(regenerate(identity, owner.access_token) for _ in range(8)), return_exceptions=True)
    assert {type(one) for one in tries} <= {Regenerated, *ApiError.__subclasses__()}
    made = [one for one in tries if isinstance(one, Regenerated)]
    assert len([key for key in await listed(identity, owner.access_token) if key.personal]) == 1
    assert [await is_dead(identity, one.secret) for one in made].count(False) == 1


async def test_an_expired_personal_key_is_replaced(
    identity: Identity, clock: ManualClock, database: TestDatabase
) -> None:
    owner = await identity.register()
    first = await regenerate(identity, owner.access_token)
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("UPDATE api_key SET expire_time = $1", clock.now())
    await connection.close()
    second = await regenerate(identity, owner.access_token)
    assert second.key.id != first.key.id
    assert not await is_dead(identity, second.secret)


async def test_a_calling_key_replaces_itself(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, models=["a"], allowed_cidrs=["203.0.113.0/24"])
    fresh = await regenerate(identity, made.secret)
    assert fresh.key.id == made.key.id
    assert await is_dead(identity, made.secret)
    caller = await identity.principal(fresh.secret)
    assert caller.models == {"a"}
    assert not caller.networks.contains("192.0.2.1")


async def test_whoever_holds_a_secret_may_end_it(identity: Identity) -> None:
    owner, stranger = await identity.register(), await identity.register()
    one, other = await create(identity, owner.access_token), await create(identity, owner.access_token)
    theirs = await create(identity, stranger.access_token)
    fake = one.secret[:-1] + ("A" if one.secret[-1] != "A" else "B")
    texts = set()
    for unknown in (theirs.secret, fake, "tb_live_", "nonsense"):
        with pytest.raises(NotFoundError) as refused:
            await revoke_secret(identity, one.secret, unknown)
        texts.add(str(refused.value.to_status("req_1")))
    assert len(texts) == 1
    assert not await is_dead(identity, theirs.secret)
    ended = await revoke_secret(identity, one.secret, other.secret)
    assert ended.id == other.key.id
    assert await is_dead(identity, other.secret)
    assert (await revoke_secret(identity, one.secret, other.secret)).revoke_time == ended.revoke_time
    assert (await revoke_secret(identity, one.secret)).id == one.key.id
    assert await is_dead(identity, one.secret)
    with pytest.raises(InvalidArgumentError) as missing:
        await revoke_secret(identity, owner.access_token)
    assert [row.field for row in missing.value.fields] == ["secret"]


async def test_another_organization_rotates_nothing(identity: Identity) -> None:
    owner, stranger = await identity.register(), await identity.register()
    made = await create(identity, owner.access_token)
    with pytest.raises(NotFoundError):
        await rotate(identity, stranger.access_token, made.key.id)
    assert not await is_dead(identity, made.secret)
