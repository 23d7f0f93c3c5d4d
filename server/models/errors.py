"""Why a model cannot be called."""

from __future__ import annotations

from server.rpc.errors import ApiError
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason


class ModelNotFoundError(ApiError):
    """No such model, or none that the caller may use: both read the same."""

    reason = ErrorReason.ERROR_REASON_MODEL_NOT_FOUND

    def __init__(self, model: str) -> None:
        public = f"The model `{model}` does not exist or you do not have access to it."
        super().__init__(public, metadata={"model": model})


class ModelUnpricedError(ApiError):
    """The model has no price and is not marked free, so what a call costs cannot be known."""

    reason = ErrorReason.ERROR_REASON_MODEL_UNPRICED

    def __init__(self, model: str) -> None:
        public = f"The model `{model}` has no price, so it cannot be called."
        super().__init__(public, metadata={"model": model})
