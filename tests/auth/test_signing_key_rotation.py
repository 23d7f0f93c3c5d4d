"""Signing keys take turns without refusing a token, and leave at once after a leak."""

from __future__ import annotations

import json
import os
from datetime import timedelta

import asyncpg
import jwt
import pytest
from google.protobuf import json_format

from server.auth.signing_key_rotation import CACHE_SECONDS, LEAD, LONGEST_TOKEN, SigningKeyRotation
from server.auth.signing_keys import RELOAD_SECONDS, SigningKeys
from server.rpc.errors import CredentialInvalidError
from server.storage.database import Role
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import ROOT, Identity, public_call
from tollbridge.auth.v1 import auth_service_pb2 as auth

SEALER = ROOT.sealer("signing-keys")


def rotation(identity: Identity, clock: ManualClock, days: int | None = 90) -> SigningKeyRotation:
    turn = None if days is None else timedelta(days=days)
    return SigningKeyRotation(identity.database, SEALER, clock, os.urandom, turn)


async def tend(identity: Identity, clock: ManualClock, days: int | None = 90) -> list[str]:
    """One run of the loop, and which keys are there afterwards."""
    turning = rotation(identity, clock, days)
    async with identity.database.privileged(Role.KEEPER) as transaction:
        await turning.tend(transaction)
    await identity.signing_keys.load()
    return [row.kid for row in await turning.list_all()]


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


async def published(identity: Identity) -> tuple[jwt.PyJWKSet, list[tuple[str, str | bytes]]]:
    """The key set as a client reads it, and the answer's metadata."""
    context = public_call("GetJsonWebKeySet")
    answer = await identity.auth.get_json_web_key_set(auth.GetJsonWebKeySetRequest(), context)
    return jwt.PyJWKSet.from_json(json.dumps(json_format.MessageToDict(answer))), context.initial_metadata


async def test_tokens_verify_with_the_published_set(identity: Identity, clock: ManualClock) -> None:
    tokens = await identity.register()
    keys, metadata = await published(identity)
    assert ("cache-control", f"public, max-age={CACHE_SECONDS}") in metadata
    key = keys[kid_of(tokens.access_token)]
    assert (key.key_type, key.algorithm_name, key.public_key_use) == ("OKP", "EdDSA", "sig")
    options: jwt.types.Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims = jwt.decode(tokens.access_token, key, ["EdDSA"], options, audience="tollbridge")
    assert claims["sub"] == tokens.user.id
    assert clock.now().timestamp() == claims["iat"]


async def test_a_new_key_is_published_before_it_signs_and_the_old_one_verifies_after(
    identity: Identity, clock: ManualClock
) -> None:
    first = await identity.register()
    made = await rotation(identity, clock).rotate()
    await identity.signing_keys.load()
    assert [key.key_id for key in (await published(identity))[0].keys] == [made.kid, kid_of(first.access_token)]
    clock.advance(LEAD.total_seconds() - 1)
    early = await identity.login(first.user.email)
    assert kid_of(early.access_token) == kid_of(first.access_token), "caches may not have the new one yet"
    clock.advance(1)
    late = await identity.login(first.user.email)
    assert kid_of(late.access_token) == made.kid
    for token in (first.access_token, early.access_token, late.access_token):
        assert (await identity.principal(token)).session_id is not None


async def test_a_retired_key_goes_when_its_last_token_has_expired(identity: Identity, clock: ManualClock) -> None:
    old = identity.signing_keys.current().kid
    made = await rotation(identity, clock).rotate()
    clock.advance((LEAD + LONGEST_TOKEN).total_seconds() - 1)
    assert await tend(identity, clock) == [made.kid, old]
    clock.advance(1)
    assert await tend(identity, clock) == [made.kid]
    assert [key.key_id for key in (await published(identity))[0].keys] == [made.kid]


async def test_turns_come_by_the_calendar_and_once(identity: Identity, clock: ManualClock) -> None:
    first = identity.signing_keys.current().kid
    assert await tend(identity, clock) == [first]
    clock.advance(90 * 86_400 - LEAD.total_seconds() - 1)
    assert await tend(identity, clock) == [first]
    clock.advance(1)
    second, *rest = await tend(identity, clock)
    assert rest == [first]
    assert await tend(identity, clock) == [second, first], "the next one is there already"
    assert identity.signing_keys.current().kid == first
    clock.advance(LEAD.total_seconds())
    assert identity.signing_keys.current().kid == second
    clock.advance(91 * 86_400)
    assert await tend(identity, clock, days=None) == [second], "no turns by the calendar"


async def test_after_a_leak_the_old_keys_open_nothing(identity: Identity, clock: ManualClock) -> None:
    tokens = await identity.register()
    await identity.principal(tokens.access_token)
    other_process = SigningKeys(identity.database, SEALER, clock)
    await other_process.load()
    made = await rotation(identity, clock).replace_all()
    await identity.signing_keys.load()
    clock.advance(5.1)
    with pytest.raises(CredentialInvalidError):
        await identity.principal(tokens.access_token)
    fresh = await identity.auth.refresh(auth.RefreshRequest(refresh_token=tokens.refresh_token), public_call("Refresh"))
    assert kid_of(fresh.access_token) == made.kid
    assert await other_process.find(made.kid) is not None, "an unknown kid makes a process look"
    assert RELOAD_SECONDS < 5
    assert [key.kid for key in other_process.published()] == [made.kid]


async def test_the_application_cannot_turn_keys(identity: Identity) -> None:
    for statement in ("UPDATE signing_key SET retire_time = now()", "DELETE FROM signing_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with identity.database.shared() as transaction:
                await transaction.execute(statement)


async def test_no_private_key_is_published(identity: Identity, database: TestDatabase) -> None:
    answer = await identity.auth.get_json_web_key_set(auth.GetJsonWebKeySetRequest(), public_call("GetJsonWebKeySet"))
    shown = json_format.MessageToDict(answer)["keys"]
    assert [sorted(key) for key in shown] == [["alg", "crv", "kid", "kty", "use", "x"]]
