# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.
"""Messages of `tollbridge.billing.v1`."""

from tollbridge_sdk._generated.messages.tollbridge.billing.v1 import (
    AdjustBalanceRequest,
    AdjustBalanceResponse,
    Balance,
    Funding,
    GetBalanceRequest,
    ListTransactionsRequest,
    ListTransactionsResponse,
    Transaction,
)

__all__ = [
    "AdjustBalanceRequest",
    "AdjustBalanceResponse",
    "Balance",
    "Funding",
    "GetBalanceRequest",
    "ListTransactionsRequest",
    "ListTransactionsResponse",
    "Transaction",
]
