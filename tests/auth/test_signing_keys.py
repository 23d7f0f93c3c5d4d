"""Signing keys are made once and lie sealed."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import pytest

from server.auth.signing_keys import NoSigningKeyError, SigningKeys, ensure_signing_key
from server.foundation.secrets import RootSecret, SealBrokenError
from tests.support.clock import ManualClock
from tests.support.databases import TestDatabase
from tests.support.identity import ROOT, Identity


async def test_many_starts_at_once_make_one_key(identity: Identity, clock: ManualClock, database: TestDatabase) -> None:
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("DELETE FROM signing_key")
    sealer = ROOT.sealer("signing-keys")
    await asyncio.gather(*(ensure_signing_key(identity.database, sealer, clock, os.urandom) for _ in range(6)))
    rows = await owner.fetch("SELECT * FROM signing_key")
    await owner.close()
    assert len(rows) == 1
    keys = SigningKeys(identity.database, sealer, clock)
    await keys.load()
    assert keys.current().kid == rows[0]["kid"]
    assert keys.current().private_key.private_bytes_raw() not in rows[0]["sealed_private_key"]


async def test_another_root_secret_does_not_open_them(identity: Identity, clock: ManualClock) -> None:
    other = RootSecret(b"another root secret, just as long as that").sealer("signing-keys")
    with pytest.raises(SealBrokenError):
        await SigningKeys(identity.database, other, clock).load()


async def test_a_sealed_key_moved_to_another_row_does_not_open(
    identity: Identity, clock: ManualClock, database: TestDatabase
) -> None:
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("UPDATE signing_key SET kid = 'stolen'")
    await owner.close()
    with pytest.raises(SealBrokenError):
        await SigningKeys(identity.database, ROOT.sealer("signing-keys"), clock).load()


async def test_a_retired_key_still_reads_but_signs_nothing(
    identity: Identity, clock: ManualClock, database: TestDatabase
) -> None:
    tokens = await identity.register()
    owner = await asyncpg.connect(database.owner_url)
    await owner.execute("UPDATE signing_key SET retire_time = $1", clock.now())
    await owner.close()
    await identity.signing_keys.load()
    assert (await identity.principal(tokens.access_token)).session_id is not None
    with pytest.raises(NoSigningKeyError):
        identity.signing_keys.current()
