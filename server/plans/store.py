"""All SQL of plans and subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.foundation.bounds import NAMES, Bounds
from server.plans.plans import Plan, Subscription
from server.storage.database import Transaction

# Plans on offer and the tenant's own, each at its newest version, by family and price, after a given one; of one family
# where it is named.
_LIST_PLANS: Final = """
SELECT * FROM (
    SELECT DISTINCT ON (p.id) p.*, v.*
    FROM plan p JOIN plan_version v ON v.plan_id = p.id
    WHERE p.offered OR p.id = (SELECT plan_id FROM subscription WHERE org_id = $1 AND end_time IS NULL)
    ORDER BY p.id, v.version DESC
) newest
WHERE ($2::text IS NULL OR (family, price, id) > ($2, $3::bigint, $4)) AND ($6 = '' OR family = $6)
ORDER BY family, price, id LIMIT $5
"""

# Plans on offer, each at its newest version, by family and price; an empty family stands for all.
_LIST_OFFERED: Final = """
SELECT * FROM (
    SELECT DISTINCT ON (p.id) p.*, v.*
    FROM plan p JOIN plan_version v ON v.plan_id = p.id
    WHERE p.offered AND ($1 = '' OR p.family = $1)
    ORDER BY p.id, v.version DESC
) newest
ORDER BY family, price, id
"""

# One plan at its newest version, if the tenant may see it.
_GET_PLAN: Final = """
SELECT p.*, v.* FROM plan p JOIN plan_version v ON v.plan_id = p.id
WHERE p.id = $2
  AND (p.offered OR p.id = (SELECT plan_id FROM subscription WHERE org_id = $1 AND end_time IS NULL))
ORDER BY v.version DESC LIMIT 1
"""

# The plan that the tenant is on, at the version that it subscribed to.
_GET_CURRENT: Final = """
SELECT p.*, v.*, s.start_time FROM subscription s
JOIN plan p ON p.id = s.plan_id
JOIN plan_version v ON v.plan_id = s.plan_id AND v.version = s.plan_version
WHERE s.org_id = $1 AND s.end_time IS NULL
"""

# Ends the subscription in force, if there is one.
_END_CURRENT: Final = """
UPDATE subscription SET end_time = greatest($2, start_time) WHERE org_id = $1 AND end_time IS NULL
"""

# Subscribes to the plan's newest version; no row where there is no such plan.
_SUBSCRIBE: Final = """
INSERT INTO subscription (id, org_id, plan_id, plan_version, start_time)
SELECT $1, $2, plan_id, version, $4 FROM plan_version WHERE plan_id = $3 ORDER BY version DESC LIMIT 1
RETURNING id
"""

# Whether there is such a plan, on offer or not.
_EXISTS: Final = "SELECT EXISTS (SELECT FROM plan WHERE id = $1)"


async def list_plans(
    transaction: Transaction, org_id: UUID, after: tuple[str, int, str] | None, limit: int, only_family: str = ""
) -> Sequence[Plan]:
    """At most `limit` plans after (family, price, id), of one family where it is named."""
    family, price, plan_id = after or (None, None, None)
    rows = await transaction.fetch(_LIST_PLANS, org_id, family, price, plan_id, limit, only_family)
    return [_plan(row) for row in rows]


async def list_offered(transaction: Transaction, family: str) -> Sequence[Plan]:
    """Plans on offer of one family, or with an empty text of all."""
    return [_plan(row) for row in await transaction.fetch(_LIST_OFFERED, family)]


async def get_plan(transaction: Transaction, org_id: UUID, plan_id: str) -> Plan | None:
    """The plan at its newest version, or None where the tenant sees none of this id."""
    row = await transaction.fetchrow(_GET_PLAN, org_id, plan_id)
    return None if row is None else _plan(row)


async def get_current(transaction: Transaction, org_id: UUID) -> Plan | None:
    """The plan in force, at the version subscribed to, or None."""
    row = await transaction.fetchrow(_GET_CURRENT, org_id)
    return None if row is None else _plan(row)


async def get_subscription(transaction: Transaction, org_id: UUID) -> Subscription | None:
    """The plan in force and since when, or None."""
    row = await transaction.fetchrow(_GET_CURRENT, org_id)
    return None if row is None else Subscription(_plan(row), row["start_time"])


async def subscribe(transaction: Transaction, subscription_id: UUID, org_id: UUID, plan_id: str, now: datetime) -> bool:
    """Ends what is in force and subscribes to the plan. False, with nothing ended, where there is no such plan."""
    if not await exists(transaction, plan_id):
        return False
    await transaction.execute(_END_CURRENT, org_id, now)
    return await transaction.fetchval(_SUBSCRIBE, subscription_id, org_id, plan_id, now) is not None


async def exists(transaction: Transaction, plan_id: str) -> bool:
    """Whether there is such a plan."""
    return bool(await transaction.fetchval(_EXISTS, plan_id))


def _plan(row: asyncpg.Record) -> Plan:
    limits = Bounds(**{name: row[name] for name in NAMES})
    return Plan(
        row["id"],
        row["name"],
        row["description"],
        row["family"],
        row["included"],
        row["version"],
        row["price"],
        limits,
    )
