"""Signing in tells nobody who has an account, and a session ends when it is told to."""

from __future__ import annotations

import asyncio

import pytest

from server.auth.errors import LoginInvalidError
from server.rpc.errors import ApiError, CredentialInvalidError, InvalidArgumentError
from tests.support.clock import ManualClock
from tests.support.identity import PASSWORD, Identity, public_call
from tollbridge.auth.v1 import auth_service_pb2 as auth


@pytest.mark.parametrize(
    "fields",
    [{"email": "anna@example.com"}, {"email": " ANNA@example.COM "}, {"username": "ANNA"}, {"email": "anna"}],
)
async def test_e_mail_or_user_name_signs_in(identity: Identity, fields: dict[str, str]) -> None:
    registered = await identity.register(email="anna@example.com", username="Anna")
    tokens = await identity.auth.login(auth.LoginRequest(password=PASSWORD, **fields), public_call("Login"))
    assert tokens.user == registered.user
    assert tokens.organization == registered.organization
    assert tokens.access_token != registered.access_token
    assert (await identity.principal(tokens.access_token)).session_id is not None


async def test_an_unknown_account_looks_and_costs_like_a_wrong_password(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    await identity.register(email="anna@example.com", username="anna")
    checked: list[str] = []
    compare = identity.hasher._verify

    def counting(password: str, digest: str) -> bool:
        checked.append(digest.rsplit("$", 2)[0])
        return compare(password, digest)

    monkeypatch.setattr(identity.hasher, "_verify", counting)
    texts = set()
    for login in ("anna@example.com", "anna", "nobody@example.com", "nobody", "x\x00y", "'; DROP TABLE app_user; --"):
        with pytest.raises(LoginInvalidError) as refused:
            await identity.login(login, "not the password")
        texts.add((refused.value.public, str(refused.value.to_status("req_1"))))
    assert len(texts) == 1, "every answer is the same, details included"
    assert len(checked) == 6, "each try was hashed"
    assert len(set(checked)) == 1, "at the same cost"


async def test_a_sign_in_without_any_name_says_which_field(identity: Identity) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await identity.login("", PASSWORD)
    assert [violation.field for violation in refused.value.fields] == ["email"]


async def test_after_logout_the_token_is_dead(identity: Identity) -> None:
    tokens = await identity.register()
    other = await identity.login(tokens.user.email)
    await identity.auth.logout(auth.LogoutRequest(), await identity.as_caller(tokens.access_token))
    with pytest.raises(CredentialInvalidError):
        await identity.principal(tokens.access_token)
    with pytest.raises(CredentialInvalidError):
        await refresh(identity, tokens.refresh_token)
    assert (await identity.principal(other.access_token)).session_id is not None


async def test_an_access_token_lives_an_hour_and_its_refresh_token_longer(
    identity: Identity, clock: ManualClock
) -> None:
    tokens = await identity.register()
    clock.advance(3599)
    assert (await identity.principal(tokens.access_token)).session_id is not None
    clock.advance(1)
    with pytest.raises(CredentialInvalidError):
        await identity.principal(tokens.access_token)
    fresh = await refresh(identity, tokens.refresh_token)
    assert (await identity.principal(fresh.access_token)).session_id is not None
    assert fresh.user == tokens.user
    clock.advance(30 * 86_400)
    with pytest.raises(CredentialInvalidError):
        await refresh(identity, fresh.refresh_token)


async def test_a_refresh_token_used_twice_ends_the_session(identity: Identity) -> None:
    tokens = await identity.register()
    fresh = await refresh(identity, tokens.refresh_token)
    assert (await identity.principal(fresh.access_token)).session_id is not None
    with pytest.raises(CredentialInvalidError):
        await refresh(identity, tokens.refresh_token)
    with pytest.raises(CredentialInvalidError):
        await identity.principal(fresh.access_token)
    with pytest.raises(CredentialInvalidError):
        await refresh(identity, fresh.refresh_token)


async def test_of_two_refreshes_at_once_at_most_one_gets_tokens(identity: Identity) -> None:
    tokens = await identity.register()
    tries = await asyncio.gather(*(refresh(identity, tokens.refresh_token) for _ in range(4)), return_exceptions=True)
    won = [result for result in tries if isinstance(result, auth.SessionTokens)]
    assert len(won) == 1
    with pytest.raises(CredentialInvalidError):
        await identity.principal(won[0].access_token)


async def test_an_unknown_refresh_token_is_refused_like_a_used_one(identity: Identity) -> None:
    tokens = await identity.register()
    await refresh(identity, tokens.refresh_token)
    texts = set()
    for token in (tokens.refresh_token, "tbr_" + "x" * 43, tokens.access_token, "é"):
        with pytest.raises(CredentialInvalidError) as refused:
            await refresh(identity, token)
        texts.add(str(refused.value.to_status("req_1")))
    (told,) = texts
    assert "The refresh token is not valid." in told


async def test_a_sign_in_that_a_password_change_overtook_opens_nothing(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = await identity.register()
    compare = identity.hasher.matches
    change = auth.ChangePasswordRequest(current_password=PASSWORD, new_password="another password")

    async def overtaken(password: str, digest: str | None) -> bool:
        right = await compare(password, digest)
        monkeypatch.setattr(identity.hasher, "matches", compare)
        await identity.auth.change_password(change, await identity.as_caller(tokens.access_token))
        return right

    monkeypatch.setattr(identity.hasher, "matches", overtaken)
    with pytest.raises(ApiError):
        await identity.login(tokens.user.email)


async def refresh(identity: Identity, refresh_token: str) -> auth.SessionTokens:
    return await identity.auth.refresh(auth.RefreshRequest(refresh_token=refresh_token), public_call("Refresh"))
