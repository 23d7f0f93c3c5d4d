"""A key's life: made, shown once, listed, changed, revoked, and dead at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from server.foundation import ids
from server.keys.secret_format import checksum
from server.rpc.errors import (
    ConflictError,
    CredentialInvalidError,
    InvalidArgumentError,
    InvalidPageTokenError,
    NotFoundError,
)
from server.storage.database import Role
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import Identity
from tollbridge.keys.v1 import key_pb2, key_service_pb2

Created = key_service_pb2.CreateKeyResponse


async def create(identity: Identity, credential: str, **fields: object) -> Created:
    request = key_service_pb2.CreateKeyRequest(**fields)  # type: ignore[arg-type]
    return await identity.keys.create_key(request, await identity.as_caller(credential))


async def update(identity: Identity, credential: str, key: key_pb2.Key, *paths: str) -> key_pb2.Key:
    request = key_service_pb2.UpdateKeyRequest(key=key, update_mask=FieldMask(paths=paths))
    return await identity.keys.update_key(request, await identity.as_caller(credential))


async def revoke(identity: Identity, credential: str, key_id: str) -> key_pb2.Key:
    request = key_service_pb2.RevokeKeyRequest(id=key_id)
    return await identity.keys.revoke_key(request, await identity.as_caller(credential))


async def listed(identity: Identity, credential: str, size: int = 0, token: str = "") -> list[key_pb2.Key]:
    request = key_service_pb2.ListKeysRequest(page_size=size, page_token=token)
    response = await identity.keys.list_keys(request, await identity.as_caller(credential, "/KeyService/ListKeys"))
    return list(response.keys)


async def test_a_new_key_opens_its_organization_with_the_scope_chat(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, name="first", models=["gpt-4o-mini"])
    assert made.secret.startswith("tb_live_")
    assert len(made.secret) >= len("tb_live_") + 64
    assert list(made.key.scopes) == ["chat"]
    assert made.key.creator_user_id == owner.user.id
    assert made.secret not in str(made.key)
    caller = await identity.principal(made.secret)
    assert ids.to_text(ids.ORGANIZATION, caller.org_id) == owner.organization.id
    assert caller.models == {"gpt-4o-mini"}
    assert caller.scopes == ("chat",)
    assert (caller.user_id, caller.platform_admin) == (None, False)
    got = await identity.keys.get_key(
        key_service_pb2.GetKeyRequest(id=made.key.id), await identity.as_caller(owner.access_token)
    )
    assert got == made.key


async def test_a_wrong_secret_opens_nothing(identity: Identity) -> None:
    owner = await identity.register()
    one = (await create(identity, owner.access_token)).secret
    other = (await create(identity, owner.access_token)).secret
    await identity.principal(one)
    for wrong in (one[:24] + other[24:], one[:-1], one + "x", one.swapcase(), "tb_live_", one[:24] + "é"):
        assert identity.authenticator.try_authenticate(wrong) is None
        with pytest.raises(CredentialInvalidError):
            await identity.principal(wrong)
    assert await identity.principal(one) == identity.authenticator.try_authenticate(one)


async def test_a_right_checksum_over_a_wrong_secret_is_compared_and_refused(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await identity.register()
    made = (await create(identity, owner.access_token)).secret
    secrets = identity.ring._format
    forged = under_public_id(secrets.prefix, made[8:24], secrets.draw().text)
    unknown = secrets.draw().text
    compared: list[bytes] = []
    pepper = identity.key_checker._pepper

    class Watched:
        def matches(self, secret: bytes, digest: bytes) -> bool:
            compared.append(digest)
            return pepper.matches(secret, digest)

    monkeypatch.setattr(identity.key_checker, "_pepper", Watched())
    for wrong in (forged, unknown):
        assert secrets.public_id(wrong) is not None
        with pytest.raises(CredentialInvalidError):
            await identity.principal(wrong)
    assert len(compared) == 2, "an unknown key costs a comparison too"


def under_public_id(prefix: str, public_id: str, other: str) -> str:
    """Another secret under a public id that exists, its checksum right."""
    payload = prefix + public_id + other[24:-6]
    return payload + checksum(payload)


async def test_a_revoked_key_is_dead_at_once_and_stays_in_the_list(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await identity.principal(made.secret)
    clock.advance(1)
    revoked = await revoke(identity, owner.access_token, made.key.id)
    assert revoked.revoke_time.ToDatetime() == clock.now().replace(tzinfo=None)
    assert identity.authenticator.try_authenticate(made.secret) is None
    with pytest.raises(CredentialInvalidError):
        await identity.principal(made.secret)
    clock.advance(1)
    assert await revoke(identity, owner.access_token, made.key.id) == revoked, "again changes nothing"
    assert await listed(identity, owner.access_token) == [revoked]


async def test_another_process_hears_of_it(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await revoke(identity, owner.access_token, made.key.id)
    async with identity.database.statement(Role.LOOKUP) as statement:
        rows = await statement.fetch("SELECT kind, subject FROM invalidation ORDER BY id")
    assert [tuple(row) for row in rows] == [("key", made.secret[8:24])]


async def test_a_key_dies_at_its_expiry_even_from_memory(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, expire_time=clock.now() + timedelta(seconds=4))
    assert (await identity.principal(made.secret)).expire_time == clock.now() + timedelta(seconds=4)
    clock.advance(3.9)
    assert identity.authenticator.try_authenticate(made.secret) is not None
    clock.advance(0.1)
    assert identity.authenticator.try_authenticate(made.secret) is None
    with pytest.raises(CredentialInvalidError):
        await identity.principal(made.secret)


async def test_name_expiry_and_models_can_be_changed(identity: Identity, clock: ManualClock) -> None:
    owner = (await identity.register()).access_token
    made = await create(identity, owner, name="old", models=["a", "b"])
    await identity.principal(made.secret)
    key = key_pb2.Key(id=made.key.id, name="new")
    assert (await update(identity, owner, key)).name == "new"
    key = key_pb2.Key(id=made.key.id, name="ignored", models=["c"])
    changed = await update(identity, owner, key, "models")
    assert (changed.name, list(changed.models)) == ("new", ["c"])
    assert (await identity.principal(made.secret)).models == {"c"}, "at once"
    key = key_pb2.Key(id=made.key.id)
    key.expire_time.FromDatetime(clock.now() + timedelta(days=1))
    assert (await update(identity, owner, key)).HasField("expire_time")
    cleared = await update(identity, owner, key_pb2.Key(id=made.key.id), "expire_time", "models")
    assert not cleared.HasField("expire_time")
    assert not cleared.models


@pytest.mark.parametrize("path", ["scopes", "revoke_time", "masked", "nonsense", "key.name"])
async def test_other_fields_cannot_be_changed(identity: Identity, path: str) -> None:
    owner = (await identity.register()).access_token
    made = await create(identity, owner)
    with pytest.raises(InvalidArgumentError, match=f"update_mask: {path}"):
        await update(identity, owner, key_pb2.Key(id=made.key.id, scopes=["manage"]), path)


async def test_of_two_writes_with_one_etag_the_second_is_refused(identity: Identity) -> None:
    owner = (await identity.register()).access_token
    made = await create(identity, owner)
    tries = await asyncio.gather(
        *(
            update(identity, owner, key_pb2.Key(id=made.key.id, name=name, etag=made.key.etag))
            for name in ("one", "two", "three")
        ),
        return_exceptions=True,
    )
    assert sorted(type(result).__name__ for result in tries) == ["ConflictError", "ConflictError", "Key"]
    with pytest.raises(ConflictError):
        await update(identity, owner, key_pb2.Key(id=made.key.id, name="late", etag="not an etag"))


@pytest.mark.parametrize("seconds", [0, -1, 10**12, 10**17])
async def test_an_expiry_that_cannot_be_is_refused_by_name(
    identity: Identity, clock: ManualClock, seconds: int
) -> None:
    owner = (await identity.register()).access_token
    made = await create(identity, owner)
    key = key_pb2.Key(id=made.key.id)
    key.expire_time.seconds = int(clock.now().timestamp()) + seconds
    with pytest.raises(InvalidArgumentError) as refused:
        await update(identity, owner, key)
    assert refused.value.fields[0].field == "key.expire_time"
    with pytest.raises(InvalidArgumentError) as refused:
        await create(identity, owner, expire_time=key.expire_time)
    assert refused.value.fields[0].field == "expire_time"
    assert len(await listed(identity, owner)) == 1, "nothing was made"


async def test_keys_are_listed_newest_first_in_pages(identity: Identity) -> None:
    owner = (await identity.register()).access_token
    made = [(await create(identity, owner, name=str(number))).key for number in range(5)]
    context = await identity.as_caller(owner, "/KeyService/ListKeys")
    shown: list[key_pb2.Key] = []
    token = ""
    for _ in range(3):
        response = await identity.keys.list_keys(
            key_service_pb2.ListKeysRequest(page_size=2, page_token=token), context
        )
        shown += response.keys
        token = response.next_page_token
    assert token == ""
    assert shown == made[::-1]
    other = (await identity.register()).access_token
    first = await identity.keys.list_keys(key_service_pb2.ListKeysRequest(page_size=2), context)
    with pytest.raises(InvalidPageTokenError):
        await listed(identity, other, 2, first.next_page_token)
    with pytest.raises(InvalidPageTokenError):
        await listed(identity, owner, 2, "nonsense")


async def test_verifying_says_whether_a_secret_works_without_counting(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, expire_time=clock.now() + timedelta(hours=1))
    context = await identity.as_caller(owner.access_token)

    async def verify(secret: str) -> key_service_pb2.VerifyKeyResponse:
        return await identity.keys.verify_key(key_service_pb2.VerifyKeyRequest(secret=secret), context)

    right = await verify(made.secret)
    assert right.active
    assert right.key == made.key
    assert right.organization_id == owner.organization.id
    for _ in range(60):
        assert await verify(made.secret[:-1]) == key_service_pb2.VerifyKeyResponse(active=False)
    assert not (await verify("é\0")).active
    clock.advance(3600)
    assert await verify(made.secret) == key_service_pb2.VerifyKeyResponse(active=False)


async def test_a_suspended_organization_is_known_with_the_key(identity: Identity, database: TestDatabase) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    context = await identity.as_caller(owner.access_token)
    owner_role = await asyncpg.connect(database.owner_url)
    await owner_role.execute("UPDATE organization SET suspended_time = now()")
    await owner_role.close()
    assert (await identity.principal(made.secret)).organization_suspended
    response = await identity.keys.verify_key(key_service_pb2.VerifyKeyRequest(secret=made.secret), context)
    assert not response.active


async def test_another_organizations_key_is_like_an_unknown_one(identity: Identity) -> None:
    owner, other = await identity.register(), await identity.register()
    made = await create(identity, owner.access_token)
    context = await identity.as_caller(other.access_token)
    texts = set()
    for key_id in (made.key.id, ids.to_text(ids.KEY, ids.uuid7()), "nonsense", made.key.id.replace("key_", "org_"), ""):
        for call in (
            identity.keys.get_key(key_service_pb2.GetKeyRequest(id=key_id), context),
            identity.keys.revoke_key(key_service_pb2.RevokeKeyRequest(id=key_id), context),
            identity.keys.update_key(
                key_service_pb2.UpdateKeyRequest(key=key_pb2.Key(id=key_id, name="mine")), context
            ),
        ):
            with pytest.raises(NotFoundError) as refused:
                await call
            texts.add(str(refused.value.to_status("req_1")))
    assert len(texts) == 1
    assert await listed(identity, other.access_token) == []
    assert (await identity.principal(made.secret)).key_id is not None
