"""The SQL of what bounds an organization's calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.foundation.bounds import Bounds
from server.limits.rule import Kind, Rule
from server.storage.database import Transaction

# Zone, plan, plan's limits and rules of some organizations.
_LOOKUP: Final = "SELECT * FROM lookup_limits($1)"

# A subject's limits, in place of those before.
_PUT_RULE: Final = """
INSERT INTO limit_rule (org_id, kind, subject, limits, update_time) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (org_id, kind, subject) DO UPDATE SET limits = EXCLUDED.limits, update_time = EXCLUDED.update_time
"""

# Ends a subject's limits.
_DELETE_RULE: Final = "DELETE FROM limit_rule WHERE org_id = $1 AND kind = $2 AND subject = $3"


@dataclass(frozen=True, slots=True)
class TermsRow:
    """What the database knows of an organization's limits."""

    time_zone: str
    plan_id: str
    """Empty where no plan is in force."""
    included: bool
    plan: Bounds
    rules: tuple[Rule, ...]
    """The organization's own, then people's, then models'."""


async def lookup(statement: Transaction, org_ids: Sequence[UUID]) -> Mapping[UUID, TermsRow]:
    """The rows of those organizations that are there. For role `lookup`."""
    return {row["org_id"]: _terms(row) for row in await statement.fetch(_LOOKUP, org_ids)}


async def put_rule(transaction: Transaction, org_id: UUID, rule: Rule, now: datetime) -> None:
    """Sets the limits of the rule's subject."""
    await transaction.execute(_PUT_RULE, org_id, rule.kind, rule.subject, rule.limits.to_text(), now)


async def delete_rule(transaction: Transaction, org_id: UUID, rule: Rule) -> None:
    """Ends the limits of the rule's subject, where it has any."""
    await transaction.execute(_DELETE_RULE, org_id, rule.kind, rule.subject)


def _terms(row: asyncpg.Record) -> TermsRow:
    rules = [Rule(Kind(kind), subject, Bounds(**limits)) for kind, subject, limits in json.loads(row["rules"] or "[]")]
    rules.sort(key=lambda rule: (list(Kind).index(rule.kind), rule.subject))
    plan = Bounds.from_text(row["limits"])
    return TermsRow(row["time_zone"], row["plan_id"] or "", bool(row["included"]), plan, tuple(rules))
