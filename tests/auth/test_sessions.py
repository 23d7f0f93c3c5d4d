"""A person sees and ends their own sessions, and nobody else's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from redis.asyncio import Redis

from server.auth import store
from server.auth.session_checker import INVALIDATION_KIND, SessionChecker
from server.auth.sessions import USER_AGENT
from server.foundation import ids
from server.organizations import directory
from server.rpc.errors import CredentialInvalidError, NotFoundError
from server.storage import invalidation
from server.storage.database import Role
from server.storage.invalidation import Invalidations
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import PASSWORD, Identity, public_call
from tollbridge.auth.v1 import auth_service_pb2 as auth
from tollbridge.auth.v1.session_pb2 import Session

AGENT = "Mozilla/5.0 (Test)"


async def sign_in(identity: Identity, email: str, ip: str = "203.0.113.7", agent: str = AGENT) -> auth.SessionTokens:
    context = replace(public_call("Login", ip), metadata={USER_AGENT: agent, "user-agent": "grpc-python"})
    return await identity.auth.login(auth.LoginRequest(email=email, password=PASSWORD), context)


async def listed(identity: Identity, token: str, size: int = 0, page: str = "") -> auth.ListSessionsResponse:
    request = auth.ListSessionsRequest(page_size=size, page_token=page)
    return await identity.auth.list_sessions(request, await identity.as_caller(token, "/A/ListSessions"))


async def revoke(identity: Identity, token: str, session_id: str) -> None:
    request = auth.RevokeSessionRequest(id=session_id)
    await identity.auth.revoke_session(request, await identity.as_caller(token))


async def refresh(identity: Identity, refresh_token: str, ip: str = "203.0.113.7") -> auth.SessionTokens:
    return await identity.auth.refresh(auth.RefreshRequest(refresh_token=refresh_token), public_call("Refresh", ip))


async def is_dead(identity: Identity, token: str) -> bool:
    try:
        await identity.principal(token)
    except CredentialInvalidError:
        return True
    return False


def current(sessions: auth.ListSessionsResponse) -> list[Session]:
    return [session for session in sessions.sessions if session.current]


async def test_a_person_sees_where_they_are_signed_in(identity: Identity, clock: ManualClock) -> None:
    first = await identity.register()
    clock.advance(10)
    second = await sign_in(identity, first.user.email, "2001:db8::7", AGENT + "x" * 999)
    clock.advance(5)
    await identity.principal(first.access_token)
    used = clock.now()
    await identity.session_checker.uses.flush()
    newest, oldest = (await listed(identity, second.access_token)).sessions
    assert (newest.ip, newest.user_agent) == ("2001:db8::7", (AGENT + "x" * 999)[:300])
    assert newest.current
    assert not newest.HasField("last_used_time")
    assert not oldest.current
    assert oldest.last_used_time.ToDatetime() == used.replace(tzinfo=None)
    assert (newest.create_time.seconds - oldest.create_time.seconds) == 10
    page = await listed(identity, first.access_token, 1)
    assert [session.id for session in page.sessions] == [newest.id]
    assert [
        session.id for session in (await listed(identity, first.access_token, 1, page.next_page_token)).sessions
    ] == [oldest.id]


async def test_a_refresh_tells_where_the_session_is_now(identity: Identity, clock: ManualClock) -> None:
    tokens = await identity.register()
    clock.advance(10)
    fresh = await refresh(identity, tokens.refresh_token, "198.51.100.1")
    (session,) = (await listed(identity, fresh.access_token)).sessions
    assert (session.ip, session.user_agent) == ("198.51.100.1", "")
    assert session.last_used_time.ToDatetime() == clock.now().replace(tzinfo=None)


async def test_an_ended_session_opens_nothing_and_is_listed_no_more(identity: Identity, clock: ManualClock) -> None:
    here = await identity.register()
    there = await sign_in(identity, here.user.email)
    (theirs,) = current(await listed(identity, there.access_token))
    await revoke(identity, here.access_token, theirs.id)
    assert await is_dead(identity, there.access_token)
    with pytest.raises(CredentialInvalidError):
        await refresh(identity, there.refresh_token)
    assert [session.current for session in (await listed(identity, here.access_token)).sessions] == [True]
    with pytest.raises(NotFoundError):
        await revoke(identity, here.access_token, theirs.id)
    clock.advance(31 * 86_400)
    again = await sign_in(identity, here.user.email)
    assert len((await listed(identity, again.access_token)).sessions) == 1, "what expired is not listed"


async def test_anothers_session_looks_like_none(identity: Identity) -> None:
    victim, thief = await identity.register(), await identity.register()
    (theirs,) = (await listed(identity, victim.access_token)).sessions
    texts = set()
    for session_id in (theirs.id, ids.to_text(ids.SESSION, ids.uuid7()), "ses_x", "%00"):
        with pytest.raises(NotFoundError) as refused:
            await revoke(identity, thief.access_token, session_id)
        texts.add(str(refused.value.to_status("req_1")))
    assert len(texts) == 1
    assert not await is_dead(identity, victim.access_token)


async def test_signing_out_everywhere_ends_every_session_of_the_person_only(identity: Identity) -> None:
    one, stranger = await identity.register(), await identity.register()
    two = await sign_in(identity, one.user.email)
    await identity.principal(two.access_token)
    ended = await identity.auth.logout_all(auth.LogoutAllRequest(), await identity.as_caller(one.access_token))
    assert ended.ended == 2
    assert [await is_dead(identity, tokens.access_token) for tokens in (one, two, stranger)] == [True, True, False]
    for tokens in (one, two):
        with pytest.raises(CredentialInvalidError):
            await refresh(identity, tokens.refresh_token)


async def test_of_fifty_refreshes_at_once_one_gets_tokens_and_the_session_ends(identity: Identity) -> None:
    tokens = await identity.register()
    tries = await asyncio.gather(*(refresh(identity, tokens.refresh_token) for _ in range(50)), return_exceptions=True)
    won = [result for result in tries if isinstance(result, auth.SessionTokens)]
    assert len(won) == 1
    assert await is_dead(identity, won[0].access_token)
    with pytest.raises(CredentialInvalidError):
        await refresh(identity, won[0].refresh_token)


async def test_another_process_hears_of_a_reuse_at_its_next_look(
    identity: Identity, clock: ManualClock, valkey_url: str, database: TestDatabase
) -> None:
    """Guarantee D5: each process looks twice a second."""
    tokens = await identity.register()
    fresh = await refresh(identity, tokens.refresh_token)
    elsewhere = SessionChecker(identity.database, identity.tokens, clock)
    bus = Redis.from_url(valkey_url)
    ear = Invalidations(identity.database, bus, {INVALIDATION_KIND: elsewhere.forget})
    await elsewhere.check(fresh.access_token)
    assert elsewhere.try_authenticate(fresh.access_token) is not None
    with pytest.raises(CredentialInvalidError):
        await refresh(identity, tokens.refresh_token)
    await ear.poll()
    await bus.aclose()
    assert elsewhere.try_authenticate(fresh.access_token) is None
    assert invalidation.POLL_SECONDS <= 0.5
    connection = await asyncpg.connect(database.owner_url)
    assert await connection.fetchval("SELECT count(*) FROM audit_entry WHERE action = 'session.reuse'") == 1
    await connection.close()


async def test_a_suspended_organization_is_dead_at_the_next_look(
    identity: Identity, database: TestDatabase, valkey_url: str
) -> None:
    """Guarantee B2, for cached keys and sessions."""
    tokens, stranger = await identity.register(), await identity.register()
    for person in (tokens, stranger):
        await identity.principal(person.access_token)
    bus = Redis.from_url(valkey_url)
    listener = identity.session_checker.forget_organization
    ear = Invalidations(identity.database, bus, {directory.INVALIDATION_KIND: listener})
    org_id = ids.from_text(ids.ORGANIZATION, tokens.organization.id)
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute("UPDATE organization SET suspended_time = now() WHERE id = $1", org_id)
    await invalidation.announce(connection, directory.INVALIDATION_KIND, str(org_id))
    await connection.close()
    await ear.poll()
    await bus.aclose()
    assert identity.authenticator.try_authenticate(tokens.access_token) is None
    assert (await identity.principal(tokens.access_token)).organization_suspended
    assert identity.authenticator.try_authenticate(stranger.access_token) is not None


async def test_what_expired_is_swept_and_what_lives_is_not(identity: Identity, database: TestDatabase) -> None:
    old, live = await identity.register(), await identity.register()
    connection = await asyncpg.connect(database.owner_url)
    person = ids.from_text(ids.USER, old.user.id)
    for table in ("session", "refresh_token"):
        await connection.execute(f"UPDATE {table} SET expire_time = now() + interval '1 day'")
        await connection.execute(
            f"UPDATE {table} SET expire_time = now() - interval '8 days' WHERE user_id = $1", person
        )
    async with identity.database.privileged(Role.KEEPER) as transaction:
        await store.sweep(transaction)
    left = {table: await connection.fetch(f"SELECT user_id FROM {table}") for table in ("session", "refresh_token")}
    await connection.close()
    living = ids.from_text(ids.USER, live.user.id)
    assert {table: [row["user_id"] for row in rows] for table, rows in left.items()} == {
        "session": [living],
        "refresh_token": [living],
    }
