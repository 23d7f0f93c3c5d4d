"""BillingService: balance, adjustments, statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from server.billing import balances, spans, store, transactions
from server.billing.adjustments import Adjustment, Adjustments, amount_of
from server.billing.transactions import Movement
from server.foundation.clock import Clock
from server.organizations.directory import target_of
from server.rpc.context import CallContext
from server.rpc.errors import InvalidPageTokenError
from server.rpc.pagination import Paginator
from server.storage.database import Database
from tollbridge.billing.v1 import balance_pb2
from tollbridge.billing.v1.billing_service_pb2 import (
    AdjustBalanceRequest,
    AdjustBalanceResponse,
    GetBalanceRequest,
    ListTransactionsRequest,
    ListTransactionsResponse,
)


class BillingService:
    """Serves tollbridge.billing.v1.BillingService."""

    NAME = "tollbridge.billing.v1.BillingService"

    def __init__(
        self,
        database: Database,
        clock: Clock,
        paginator: Paginator,
        adjustments: Adjustments,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        """`catch_up` brings into the ledger what calls cost that ended in this process."""
        self._catch_up = catch_up
        self._database = database
        self._clock = clock
        self._paginator = paginator
        self._adjustments = adjustments

    async def get_balance(self, _request: GetBalanceRequest, context: CallContext) -> balance_pb2.Balance:
        """The balance of the caller's organization."""
        org_id = context.principal.org_id
        await self._catch_up()
        async with self._database.tenant(org_id) as transaction:
            return balances.to_proto(await balances.load(transaction, org_id, self._clock.now()))

    async def adjust_balance(self, request: AdjustBalanceRequest, context: CallContext) -> AdjustBalanceResponse:
        """A credit or a debit. Raises `AmountInvalidError` and what `Adjustments.adjust` raises."""
        adjustment = Adjustment(
            org_id=target_of(context, request.organization_id),
            amount=amount_of(request.amount),
            credit=request.operation == "CREDIT",
            funding=request.funding or "wallet",
            description=request.description,
            transfer_key=request.transfer_key,
        )
        movement, balance = await self._adjustments.adjust(context, adjustment)
        return AdjustBalanceResponse(transaction=transactions.to_proto(movement), balance=balances.to_proto(balance))

    async def list_transactions(
        self, request: ListTransactionsRequest, context: CallContext
    ) -> ListTransactionsResponse:
        """A page of the statement, newest first. Raises `InvalidPageTokenError`."""
        org_id = context.principal.org_id
        span = spans.of(request)
        page = self._paginator.open(context, request.page_size, request.page_token, spans.filters(span))
        await self._catch_up()
        async with self._database.tenant(org_id) as transaction:
            rows = await store.list_statement(transaction, org_id, span, _position(page.after), page.size + 1)
        movements = [transactions.from_row(row) for row in rows]
        shown, more = movements[: page.size], len(movements) > page.size
        return ListTransactionsResponse(
            transactions=[transactions.to_proto(movement) for movement in shown],
            next_page_token=self._paginator.next_token(context, page, _after(shown[-1])) if more else "",
        )


def _after(movement: Movement) -> tuple[str, str, str]:
    return movement.create_time.isoformat(), movement.transfer_id.hex, movement.id.hex


def _position(after: tuple[str, ...] | None) -> tuple[datetime | None, UUID | None, UUID | None]:
    if after is None:
        return None, None, None
    try:
        time, transfer_id, movement_id = after
        return datetime.fromisoformat(time), UUID(transfer_id), UUID(movement_id)
    except ValueError as error:
        raise InvalidPageTokenError from error
