# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import AsyncIterator
from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall, rows_of
from tollbridge_sdk.messages import billing
from tollbridge_sdk.options import CallOptions, KeyedCallOptions


class AsyncBilling(AsyncService):
    """The organization's money."""

    def get_balance(
        self, request: billing.GetBalanceRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[billing.Balance]:
        """Reads the balance, as the ledger has it at this moment."""
        return self._calls.unary(
            methods.BILLING_GET_BALANCE,
            billing.GetBalanceRequest() if request is None else request,
            billing.Balance,
            options,
        )

    def adjust_balance(
        self, request: billing.AdjustBalanceRequest, **options: Unpack[KeyedCallOptions]
    ) -> UnaryCall[billing.AdjustBalanceResponse]:
        """Credits or debits an organization. Platform administrators only: a tenant can never credit itself.
        A debit that would take the account below its floor is refused whole."""
        return self._calls.unary(methods.BILLING_ADJUST_BALANCE, request, billing.AdjustBalanceResponse, options)

    def list_transactions(
        self, request: billing.ListTransactionsRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[billing.ListTransactionsResponse]:
        """Lists every movement of the organization's money, newest first. Credits minus debits are the
        balance."""
        return self._calls.unary(
            methods.BILLING_LIST_TRANSACTIONS,
            billing.ListTransactionsRequest() if request is None else request,
            billing.ListTransactionsResponse,
            options,
        )

    def list_all_transactions(
        self, request: billing.ListTransactionsRequest | None = None, **options: Unpack[CallOptions]
    ) -> AsyncIterator[billing.Transaction]:
        """Every row of `list_transactions` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_transactions(page, **options),
            billing.ListTransactionsRequest() if request is None else request,
            lambda page: page.transactions,
        )
