"""Why money does not move."""

from __future__ import annotations

from server.foundation import money
from server.rpc.errors import ApiError, FieldViolation
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason

CURRENCY = "USD"


class BalanceInsufficientError(ApiError):
    """Posted funds do not cover the worst case."""

    reason = ErrorReason.ERROR_REASON_BALANCE_INSUFFICIENT

    def __init__(self, required: int, available: int) -> None:
        """Both in nano-dollars; `available` is the most that one account can cover now."""
        self.required = required
        self.available = available
        metadata = {
            "required": money.to_text(required),
            "available": money.to_text(available),
            "currency": CURRENCY,
        }
        public = (
            f"The balance does not cover this call: up to {metadata['required']} {CURRENCY} is needed, "
            f"{metadata['available']} {CURRENCY} is available. Add funds, or ask for fewer tokens."
        )
        super().__init__(public, metadata=metadata)


class BalanceReservedError(ApiError):
    """Posted funds would do, but other open calls hold them."""

    reason = ErrorReason.ERROR_REASON_BALANCE_RESERVED

    def __init__(self, required: int, available: int) -> None:
        """Both in nano-dollars."""
        self.required = required
        self.available = available
        public = "Other calls that still run hold the balance. Try again in a second."
        super().__init__(public, retry_after=1.0)


class NoSubscriptionError(ApiError):
    """The organization has no plan in force."""

    reason = ErrorReason.ERROR_REASON_NO_SUBSCRIPTION

    def __init__(self) -> None:
        super().__init__("The organization has no plan. Choose one, then call again.")


class AmountInvalidError(ApiError):
    """The amount is no clean decimal above zero."""

    reason = ErrorReason.ERROR_REASON_AMOUNT_INVALID

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}", fields=[FieldViolation(field, description)])


class BelowFloorError(ApiError):
    """The debit would take the account below its floor."""

    reason = ErrorReason.ERROR_REASON_BELOW_FLOOR

    def __init__(self, available: int) -> None:
        """`available` in nano-dollars."""
        metadata = {"available": money.to_text(available), "currency": CURRENCY}
        super().__init__(f"Only {metadata['available']} {CURRENCY} can be debited.", metadata=metadata)


class TransferMismatchError(ApiError):
    """The key was used for another transfer."""

    reason = ErrorReason.ERROR_REASON_TRANSFER_MISMATCH

    def __init__(self) -> None:
        super().__init__("This transfer_key was used with other values before. Use a new one.")
