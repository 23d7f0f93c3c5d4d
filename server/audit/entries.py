"""Audit entries: written once, in the transaction of what they tell of, and never changed."""

from __future__ import annotations

from uuid import UUID

from server.audit import store
from server.audit.store import Entry
from server.foundation import ids
from server.rpc.context import CallContext
from server.rpc.principal import Principal
from server.storage.database import Transaction


async def record(
    transaction: Transaction,
    context: CallContext,
    org_id: UUID,
    action: str,
    subject: str,
    *,
    actor_user_id: UUID | None = None,
) -> None:
    """Writes the row of one change, made by the context's caller.

    `transaction` must see `org_id`. `action` is the method's `(audit)` option, `subject` the id of what was changed,
    as callers see it. `actor_user_id` names the person on public methods, which have no caller yet.
    """
    kind, actor = _actor(context.caller, actor_user_id)
    entry = Entry(ids.uuid7(), org_id, kind, actor, action, subject, context.request_id, context.origin.ip)
    await store.insert(transaction, entry)


async def record_by_system(transaction: Transaction, org_id: UUID, action: str, subject: str) -> None:
    """Writes the row of a change that no call made: the first start, the command line, a background loop."""
    await store.insert(transaction, Entry(ids.uuid7(), org_id, "SYSTEM", "", action, subject, "", ""))


def _actor(caller: Principal | None, actor_user_id: UUID | None) -> tuple[str, str]:
    if caller is not None and caller.key_id is not None:
        return "API_KEY", ids.to_text(ids.KEY, caller.key_id)
    user_id = actor_user_id if caller is None else caller.user_id
    if user_id is not None:
        return "USER", ids.to_text(ids.USER, user_id)
    return "SYSTEM", ""
