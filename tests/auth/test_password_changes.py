"""Changing a password takes the current one, ends other sessions, and lifts what a one-time password forbids."""

from __future__ import annotations

import pytest

from server.auth.errors import LoginInvalidError, PasswordRefusedError
from server.auth.registrar import AccountWish
from server.rpc import access
from server.rpc.errors import (
    CredentialInvalidError,
    InvalidArgumentError,
    NotFoundError,
    PasswordChangeRequiredError,
    TooManyAttemptsError,
)
from tests.support.identity import PASSWORD, Identity, public_call
from tollbridge.auth.v1 import auth_service_pb2 as auth

NEW = "an even better one"


async def change(identity: Identity, access_token: str, new: str = NEW, current: str = PASSWORD) -> None:
    request = auth.ChangePasswordRequest(current_password=current, new_password=new)
    await identity.auth.change_password(request, await identity.as_caller(access_token))


async def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(identity: Identity) -> None:
    here = await identity.register()
    there = await identity.login(here.user.email)
    assert (await identity.principal(there.access_token)).session_id is not None
    await change(identity, here.access_token)
    assert (await identity.principal(here.access_token)).session_id is not None
    with pytest.raises(CredentialInvalidError):
        await identity.principal(there.access_token)
    with pytest.raises(CredentialInvalidError):
        await identity.auth.refresh(auth.RefreshRequest(refresh_token=there.refresh_token), public_call("Refresh"))
    with pytest.raises(LoginInvalidError):
        await identity.login(here.user.email, PASSWORD)
    assert (await identity.login(here.user.email, NEW)).access_token


async def test_somebody_elses_session_stays(identity: Identity) -> None:
    anna, ben = await identity.register(), await identity.register()
    await change(identity, anna.access_token)
    assert (await identity.principal(ben.access_token)).session_id is not None


async def test_the_current_password_is_checked_and_guesses_are_counted(identity: Identity) -> None:
    tokens = await identity.register()
    for _ in range(10):
        with pytest.raises(InvalidArgumentError) as refused:
            await change(identity, tokens.access_token, current="wrong password")
        assert [violation.field for violation in refused.value.fields] == ["current_password"]
    with pytest.raises(TooManyAttemptsError):
        await change(identity, tokens.access_token)


@pytest.mark.parametrize("new", [PASSWORD, "qwertyuiop", "short"])
async def test_the_same_password_or_a_common_one_is_refused(identity: Identity, new: str) -> None:
    tokens = await identity.register()
    with pytest.raises(PasswordRefusedError) as refused:
        await change(identity, tokens.access_token, new)
    assert [violation.field for violation in refused.value.fields] == ["new_password"]
    assert (await identity.login(tokens.user.email)).access_token


async def test_a_one_time_password_signs_in_once_and_opens_little(identity: Identity) -> None:
    issued = await identity.administration.create_admin(AccountWish("root@example.com"))
    password = issued.one_time_password
    with pytest.raises(LoginInvalidError):
        await identity.login("root@example.com", "wrong password")
    tokens = await identity.login("root@example.com", password)
    assert tokens.password_change_required
    assert tokens.user.password_change_required
    with pytest.raises(PasswordChangeRequiredError):
        await identity.login("root@example.com", password)
    with pytest.raises(LoginInvalidError):
        await identity.login("root@example.com", "wrong password")

    caller = await identity.principal(tokens.access_token)
    rule = access.AccessRule(frozenset({caller.kind}), "", platform=False)
    with pytest.raises(PasswordChangeRequiredError):
        access.check(rule, "/tollbridge.keys.v1.KeyService/CreateKey", caller, "")
    access.check(rule, "/tollbridge.auth.v1.AuthService/ChangePassword", caller, "")

    await change(identity, tokens.access_token, current=password)
    caller = await identity.principal(tokens.access_token)
    access.check(rule, "/tollbridge.keys.v1.KeyService/CreateKey", caller, "")
    again = await identity.login("root@example.com", NEW)
    assert not again.password_change_required
    assert again.user.platform_admin


async def test_an_administrator_has_the_platforms_permissions_and_others_have_not(identity: Identity) -> None:
    assert not await identity.administration.has_admin()
    first = await identity.register()
    assert not await identity.administration.has_admin(), "who registers first is no administrator"
    assert not (await identity.principal(first.access_token)).permissions & access.PLATFORM_PERMISSIONS
    issued = await identity.administration.create_admin(AccountWish("root@example.com"))
    assert await identity.administration.has_admin()
    tokens = await identity.login("root@example.com", issued.one_time_password)
    caller = await identity.principal(tokens.access_token)
    assert caller.platform_admin
    assert caller.permissions >= access.PLATFORM_PERMISSIONS


async def test_making_an_administrator_again_mends_a_try_that_broke_off(identity: Identity) -> None:
    registered = await identity.register(email="root@example.com")
    issued = await identity.administration.create_admin(AccountWish("Root@example.com"))
    with pytest.raises(CredentialInvalidError):
        await identity.principal(registered.access_token)
    tokens = await identity.login("root@example.com", issued.one_time_password)
    assert tokens.user.id == registered.user.id
    assert tokens.user.platform_admin
    users = await identity.administration.list_users(None, 10)
    assert [(row.user.email, row.user.platform_admin, row.password_change_required) for row in users] == [
        ("root@example.com", True, True)
    ]


async def test_resetting_a_password_ends_every_session(identity: Identity) -> None:
    tokens = await identity.register(email="anna@example.com", username="anna")
    issued = await identity.administration.reset_password("ANNA")
    with pytest.raises(CredentialInvalidError):
        await identity.principal(tokens.access_token)
    with pytest.raises(LoginInvalidError):
        await identity.login("anna@example.com", PASSWORD)
    assert (await identity.login("anna@example.com", issued.one_time_password)).password_change_required
    with pytest.raises(NotFoundError):
        await identity.administration.reset_password("nobody")


async def test_people_are_listed_in_pages(identity: Identity) -> None:
    emails = [(await identity.register()).user.email for _ in range(3)]
    first = await identity.administration.list_users(None, 2)
    rest = await identity.administration.list_users(first[-1].user.id, 2)
    assert [row.user.email for row in (*first, *rest)] == emails
