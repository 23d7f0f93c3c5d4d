"""Limits of a key's own: set with the key, changed with it, and never wider than those of the key that sets them."""

from __future__ import annotations

import pytest

from server.foundation.bounds import UNBOUNDED, Bounds
from server.rpc.errors import PermissionDeniedError
from tests.keys.test_life import create, update
from tests.support.identity import Identity
from tollbridge.keys.v1 import key_pb2
from tollbridge.plans.v1.plan_pb2 import PlanLimits


async def test_a_keys_limits_are_its_callers_at_once(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, limits=PlanLimits(requests_per_day=5, concurrency=0))
    assert made.key.limits == PlanLimits(requests_per_day=5, concurrency=0)
    caller = await identity.principal(made.secret)
    assert caller.limits == Bounds(requests_per_day=5, concurrency=0)
    assert caller.maker_user_id is not None

    wanted = key_pb2.Key(id=made.key.id, limits=PlanLimits(tokens_per_month=10))
    assert (await update(identity, owner.access_token, wanted, "limits")).limits == PlanLimits(tokens_per_month=10)
    assert (await identity.principal(made.secret)).limits == Bounds(tokens_per_month=10)

    bare = await update(identity, owner.access_token, key_pb2.Key(id=made.key.id), "limits")
    assert not bare.HasField("limits")
    assert (await identity.principal(made.secret)).limits is UNBOUNDED


async def test_a_change_of_something_else_leaves_them(identity: Identity) -> None:
    owner = await identity.register()
    made = await create(identity, owner.access_token, limits=PlanLimits(requests_per_hour=7))
    renamed = await update(identity, owner.access_token, key_pb2.Key(id=made.key.id, name="new"), "name")
    assert renamed.limits == PlanLimits(requests_per_hour=7)


async def test_a_key_with_limits_makes_only_keys_that_are_no_wider(identity: Identity) -> None:
    owner = await identity.register()
    narrow = await create(
        identity, owner.access_token, scopes=["manage"], limits=PlanLimits(requests_per_day=5, burst=2)
    )
    for wider in (None, PlanLimits(requests_per_day=6, burst=2), PlanLimits(requests_per_day=5)):
        with pytest.raises(PermissionDeniedError):
            await create(identity, narrow.secret, scopes=["chat"], limits=wider)
    within = PlanLimits(requests_per_day=5, burst=1, concurrency=3)
    child = await create(identity, narrow.secret, scopes=["chat"], limits=within)
    assert child.key.limits == within
    with pytest.raises(PermissionDeniedError):
        await update(identity, narrow.secret, key_pb2.Key(id=child.key.id), "limits")
