"""Every change leaves one row that says who did it, and the row stays as it is (guarantee D17)."""

from __future__ import annotations

import asyncpg
import pytest

from server.audit import entries
from server.auth.registrar import AccountWish
from server.foundation import ids
from server.keys.key_ring import KeyWish
from server.storage.database import Role
from tests.support.databases import TestDatabase
from tests.support.identity import PASSWORD, Identity, public_call
from tollbridge.auth.v1 import auth_service_pb2 as auth
from tollbridge.keys.v1 import key_pb2, key_service_pb2
from tollbridge.organizations.v1 import organization_pb2, organization_service_pb2

Row = tuple[str, str, str, str]


async def rows(database: TestDatabase) -> list[Row]:
    """Actor's kind and id, action and subject of all entries, oldest first."""
    owner = await asyncpg.connect(database.owner_url)
    found = await owner.fetch("SELECT actor_kind, actor_id, action, subject FROM audit_entry ORDER BY create_time")
    await owner.close()
    return [tuple(row) for row in found]


async def test_each_change_leaves_one_row(identity: Identity, database: TestDatabase) -> None:
    owner = await identity.register()
    user = owner.user.id
    login = await identity.login(owner.user.email)
    context = await identity.as_caller(owner.access_token)
    made = await identity.keys.create_key(key_service_pb2.CreateKeyRequest(scopes=["manage"]), context)
    by_key = await identity.as_caller(made.secret)
    key = key_pb2.Key(id=made.key.id, name="new")
    await identity.keys.update_key(key_service_pb2.UpdateKeyRequest(key=key), by_key)
    await identity.keys.revoke_key(key_service_pb2.RevokeKeyRequest(id=made.key.id), context)
    organization = organization_pb2.Organization(id=owner.organization.id, name="new")
    request = organization_service_pb2.UpdateOrganizationRequest(organization=organization)
    await identity.organizations.update_organization(request, context)
    change = auth.ChangePasswordRequest(current_password=PASSWORD, new_password="another password")
    await identity.auth.change_password(change, context)
    await identity.auth.logout(auth.LogoutRequest(), context)
    written = await rows(database)
    sessions = [row[3] for row in written if row[2].startswith("session.")]
    assert written == [
        ("USER", user, "user.register", user),
        ("USER", user, "session.create", sessions[0]),
        ("USER", user, "key.create", made.key.id),
        ("API_KEY", made.key.id, "key.update", made.key.id),
        ("USER", user, "key.revoke", made.key.id),
        ("USER", user, "organization.update", owner.organization.id),
        ("USER", user, "user.change_password", user),
        ("USER", user, "session.revoke", sessions[1]),
    ]
    assert sessions[0] != sessions[1]
    assert login.access_token


async def test_a_row_says_which_call_from_where(identity: Identity, database: TestDatabase) -> None:
    context = public_call("Register", "2001:db8::7")
    request = auth.RegisterRequest(email="anna@example.com", password=PASSWORD)
    tokens = await identity.auth.register(request, context)
    owner = await asyncpg.connect(database.owner_url)
    row = await owner.fetchrow("SELECT org_id, request_id, ip FROM audit_entry")
    await owner.close()
    assert row is not None
    org_id = ids.from_text(ids.ORGANIZATION, tokens.organization.id)
    assert tuple(row) == (org_id, context.request_id, "2001:db8::7")


async def test_what_failed_leaves_no_row(identity: Identity, database: TestDatabase) -> None:
    owner = await identity.register()
    before = await rows(database)
    context = await identity.as_caller(owner.access_token)
    request = key_service_pb2.UpdateKeyRequest(key=key_pb2.Key(id=ids.to_text(ids.KEY, ids.uuid7()), name="x"))
    with pytest.raises(Exception, match="No such key"):
        await identity.keys.update_key(request, context)
    with pytest.raises(Exception, match="wrong password"):
        await identity.login(owner.user.email, "wrong password")
    assert await rows(database) == before


async def test_what_the_operator_does_is_written_too(identity: Identity, database: TestDatabase) -> None:
    issued = await identity.administration.create_admin(AccountWish("root@example.com"))
    await identity.administration.reset_password("root@example.com")
    key, _ = await identity.ring.issue(issued.org_id, KeyWish())
    user = ids.to_text(ids.USER, issued.user_id)
    assert await rows(database) == [
        ("SYSTEM", "", "user.register", user),
        ("SYSTEM", "", "user.promote", user),
        ("SYSTEM", "", "user.reset_password", user),
        ("SYSTEM", "", "key.create", ids.to_text(ids.KEY, key.id)),
    ]


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entry SET action = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"]
)
async def test_nobody_changes_a_row(identity: Identity, database: TestDatabase, statement: str) -> None:
    caller = await identity.principal((await identity.register()).access_token)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with identity.database.tenant(caller.org_id) as transaction:
            await transaction.execute(statement)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with identity.database.privileged(Role.PLATFORM) as transaction:
            await transaction.execute(statement)
    owner = await asyncpg.connect(database.owner_url)
    with pytest.raises(asyncpg.RestrictViolationError):
        await owner.execute(statement)
    await owner.close()


async def test_a_row_of_another_tenant_cannot_be_written(identity: Identity) -> None:
    mine = await identity.as_caller((await identity.register()).access_token)
    theirs = await identity.as_caller((await identity.register()).access_token)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with identity.database.tenant(mine.principal.org_id) as transaction:
            await entries.record(transaction, mine, theirs.principal.org_id, "key.create", "key_x")
