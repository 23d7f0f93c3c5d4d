# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from collections.abc import Iterator
from typing import Any, Unpack

from tollbridge.billing.v1 import balance_pb2, billing_service_pb2, billing_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, KeyedUnaryOptions, Service, UnaryOptions, rows_of


class Billing(Service):
    """The organization's money."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = billing_service_pb2_grpc.BillingServiceStub(calls.channel)

    def get_balance(
        self, request: billing_service_pb2.GetBalanceRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> balance_pb2.Balance:
        """Reads the balance, as the ledger has it at this moment."""
        return self._calls.unary(
            self._stub.GetBalance,
            methods.BILLING_GET_BALANCE,
            billing_service_pb2.GetBalanceRequest() if request is None else request,
            balance_pb2.Balance,
            options,
        )

    def adjust_balance(
        self, request: billing_service_pb2.AdjustBalanceRequest, **options: Unpack[KeyedUnaryOptions]
    ) -> billing_service_pb2.AdjustBalanceResponse:
        """Credits or debits an organization. Platform administrators only: a tenant can never credit itself.
        A debit that would take the account below its floor is refused whole."""
        return self._calls.unary(
            self._stub.AdjustBalance,
            methods.BILLING_ADJUST_BALANCE,
            request,
            billing_service_pb2.AdjustBalanceResponse,
            options,
        )

    def list_transactions(
        self, request: billing_service_pb2.ListTransactionsRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> billing_service_pb2.ListTransactionsResponse:
        """Lists every movement of the organization's money, newest first. Credits minus debits are the
        balance."""
        return self._calls.unary(
            self._stub.ListTransactions,
            methods.BILLING_LIST_TRANSACTIONS,
            billing_service_pb2.ListTransactionsRequest() if request is None else request,
            billing_service_pb2.ListTransactionsResponse,
            options,
        )

    def list_all_transactions(
        self, request: billing_service_pb2.ListTransactionsRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> Iterator[balance_pb2.Transaction]:
        """Every row of `list_transactions` from the request's page on; pages are read as they are needed."""
        return rows_of(
            lambda page: self.list_transactions(page, **options),
            billing_service_pb2.ListTransactionsRequest() if request is None else request,
            lambda page: page.transactions,
        )
