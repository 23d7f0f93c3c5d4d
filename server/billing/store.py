"""All SQL of accounts, transfers and statements. Holds have a file of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

# The accounts that every organization has. Repeatable.
_OPEN_ACCOUNTS: Final = "SELECT ledger_open_accounts($1)"

# One more account that pays for calls; its id.
_OPEN_FUNDING: Final = "SELECT ledger_open_funding($1, $2, $3, $4, $5, $6)"

# Moves money at once. The outcomes stand beside ledger_single.
_MOVE: Final = "SELECT ledger_single($1, $2, $3, $4, $5, $6, $7)"

# The id of one of the organization's own accounts.
_ACCOUNT_ID: Final = "SELECT id FROM ledger_account WHERE org_id = $1 AND code = $2 AND asset = 'USD/9'"

# The oldest promo account that pays for everything and never expires.
_GENERAL_PROMO: Final = """
SELECT account_id FROM funding
WHERE org_id = $1 AND kind = 'promo' AND models = '{}' AND expire_time IS NULL
ORDER BY create_time, account_id LIMIT 1
"""

# The account that a transfer credited.
_CREDITED: Final = "SELECT credit_account FROM ledger_transfer WHERE id = $1"

# Accounts that pay, in the order in which they pay.
_LIST_FUNDING: Final = """
SELECT f.kind, f.models, f.expire_time, a.floor,
       a.credits_posted - a.debits_posted AS posted, a.debits_pending AS reserved
FROM funding f JOIN ledger_account a ON a.id = f.account_id
WHERE f.org_id = $1 ORDER BY f.rank, f.expire_time, f.account_id
"""

# What can still be debited from one account.
_AVAILABLE: Final = """
SELECT credits_posted - debits_posted - debits_pending - floor FROM ledger_account WHERE id = $1
"""

# Movements of the accounts whose sum is the balance, newest first, after a given one. What a draw of a lease moved is
# shown call by call, under its usage event's id.
_LIST_STATEMENT: Final = """
SELECT coalesce(e.id, t.id) AS id, t.debit_account = f.account_id AS debit, coalesce(e.cost, t.amount) AS amount,
       f.kind AS funding, t.purpose, t.description, coalesce(e.id, t.usage_event_id) AS usage_event_id, t.create_time,
       t.id AS transfer_id
FROM ledger_transfer t
JOIN funding f ON f.account_id IN (t.debit_account, t.credit_account)
LEFT JOIN usage_event e
  ON e.transfer_id = t.id AND e.org_id = t.org_id AND t.kind = 'draw' AND t.usage_event_id IS NULL
WHERE t.org_id = $1 AND t.kind IN ('single', 'draw', 'post') AND t.purpose <> 'excess'
  AND f.kind IN ('promo', 'wallet', 'postpaid')
  AND t.create_time >= coalesce($2::timestamptz, '-infinity') AND t.create_time < coalesce($3::timestamptz, 'infinity')
  AND (t.create_time, t.id)
      <= (coalesce($4::timestamptz, 'infinity'), coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
  AND (t.create_time, t.id, coalesce(e.id, t.id))
      < (coalesce($4::timestamptz, 'infinity'), coalesce($5::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
         coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
ORDER BY t.create_time DESC, t.id DESC, coalesce(e.id, t.id) DESC LIMIT $7
"""

# One of these movements.
_GET_STATEMENT_ROW: Final = """
SELECT t.id, t.debit_account = f.account_id AS debit, t.amount, f.kind AS funding, t.purpose, t.description,
       t.usage_event_id, t.create_time, t.id AS transfer_id
FROM ledger_transfer t JOIN funding f ON f.account_id IN (t.debit_account, t.credit_account)
WHERE t.id = $1
"""


async def open_accounts(transaction: Transaction, org_id: UUID) -> None:
    """Wallet, debt, revenue, provider's excess and issuance."""
    await transaction.execute(_OPEN_ACCOUNTS, org_id)


async def open_funding(
    transaction: Transaction,
    org_id: UUID,
    kind: str,
    models: Sequence[str],
    expire_time: datetime | None,
    description: str,
    floor: int = 0,
) -> UUID:
    """A new account of the kind. Raises asyncpg.UniqueViolationError for a second credit line."""
    account_id: UUID = await transaction.fetchval(
        _OPEN_FUNDING, org_id, kind, list(models), expire_time, description, floor
    )
    return account_id


async def move(
    transaction: Transaction, org_id: UUID, transfer_id: UUID, debit: UUID, credit: UUID, amount: int, *about: str
) -> str:
    """ledger_single's outcome; `about` is purpose and description."""
    outcome: str = await transaction.fetchval(_MOVE, org_id, transfer_id, debit, credit, amount, *about)
    return outcome


async def account_id(transaction: Transaction, org_id: UUID, code: str) -> UUID:
    """The account of this code, which every organization has."""
    found: UUID | None = await transaction.fetchval(_ACCOUNT_ID, org_id, code)
    assert found is not None, "accounts are opened in the transaction that makes the organization"
    return found


async def general_promo(transaction: Transaction, org_id: UUID) -> UUID | None:
    """The promo account that adjustments go to, or None."""
    found: UUID | None = await transaction.fetchval(_GENERAL_PROMO, org_id)
    return found


async def credited_account(transaction: Transaction, transfer_id: UUID) -> UUID | None:
    """The account that the transfer credited, or None where there is no such transfer."""
    found: UUID | None = await transaction.fetchval(_CREDITED, transfer_id)
    return found


async def list_funding(transaction: Transaction, org_id: UUID) -> Sequence[asyncpg.Record]:
    """Rows of (kind, models, expire_time, floor, posted, reserved)."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_FUNDING, org_id)
    return rows


async def available(transaction: Transaction, account: UUID) -> int:
    """Nano-dollars above the account's floor, reservations taken off."""
    amount: int = await transaction.fetchval(_AVAILABLE, account)
    return amount


async def list_statement(
    transaction: Transaction,
    org_id: UUID,
    span: tuple[datetime | None, datetime | None],
    after: tuple[datetime | None, UUID | None, UUID | None],
    limit: int,
) -> Sequence[asyncpg.Record]:
    """At most `limit` movements within the span, after (create_time, transfer, id)."""
    rows: Sequence[asyncpg.Record] = await transaction.fetch(_LIST_STATEMENT, org_id, *span, *after, limit)
    return rows


async def get_statement_row(transaction: Transaction, transfer_id: UUID) -> asyncpg.Record:
    """One movement, which exists."""
    row = await transaction.fetchrow(_GET_STATEMENT_ROW, transfer_id)
    assert row is not None, "the transfer was made or found in this transaction"
    return row
