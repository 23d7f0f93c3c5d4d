"""When a key was last used is written in batches, and never waited for."""

from __future__ import annotations

import pytest

from server.storage.database import DatabaseUnavailableError
from tests.keys.test_life import create, listed, revoke
from tests.support.clock import ManualClock
from tests.support.identity import Identity


async def test_uses_are_written_once_a_flush(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    used, unused = await create(identity, owner.access_token), await create(identity, owner.access_token)
    assert not used.key.HasField("last_used_time")
    first = clock.now()
    await identity.principal(used.secret)
    clock.advance(1)
    assert identity.authenticator.try_authenticate(used.secret) is not None
    await identity.key_checker.uses.flush()
    shown = {key.id: key for key in await listed(identity, owner.access_token)}
    assert shown[used.key.id].last_used_time.ToDatetime() == first.replace(tzinfo=None)
    assert shown[used.key.id].etag == used.key.etag
    assert not shown[unused.key.id].HasField("last_used_time")
    clock.advance(60)
    assert (identity.authenticator.try_authenticate(used.secret) or await identity.principal(used.secret)) is not None
    await identity.key_checker.uses.flush()
    (again,) = [key for key in await listed(identity, owner.access_token) if key.id == used.key.id]
    assert again.last_used_time.ToDatetime() == clock.now().replace(tzinfo=None)


async def test_an_earlier_time_from_another_process_changes_nothing(identity: Identity, clock: ManualClock) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await identity.principal(made.secret)
    slower = dict(identity.key_checker.uses._times)
    clock.advance(90)
    identity.key_checker.uses._times = {}
    await identity.principal(made.secret)
    await identity.key_checker.uses.flush()
    identity.key_checker.uses._times = slower
    await identity.key_checker.uses.flush()
    (shown,) = await listed(identity, owner.access_token)
    assert shown.last_used_time.ToDatetime() == clock.now().replace(tzinfo=None)


async def test_what_could_not_be_written_is_written_later(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await identity.principal(made.secret)

    def away(*_: object) -> None:
        raise DatabaseUnavailableError("away")

    with monkeypatch.context() as broken:
        broken.setattr(identity.database, "privileged", away)
        with pytest.raises(DatabaseUnavailableError):
            await identity.key_checker.uses.flush()
        await identity.key_checker.uses.flush_or_log()
    await identity.key_checker.uses.flush()
    (shown,) = await listed(identity, owner.access_token)
    assert shown.HasField("last_used_time")


async def test_a_refused_secret_is_no_use(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token)
    await revoke(identity, owner.access_token, made.key.id)
    with pytest.raises(Exception, match="revoked"):
        await identity.principal(made.secret)
    await identity.key_checker.uses.flush()
    (shown,) = await listed(identity, owner.access_token)
    assert not shown.HasField("last_used_time")
