"""Why a chat call was refused or failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.rpc.errors import ApiError, FieldViolation
from tollbridge.errors.v1.error_reason_pb2 import ErrorReason


class UnboundableInputError(ApiError):
    """A part of the request has no declared maximum cost."""

    reason = ErrorReason.ERROR_REASON_UNBOUNDABLE_INPUT

    def __init__(self, field: str, what: str) -> None:
        """`field` as the caller wrote it, for instance "messages[3].content[1]"; `what` names the part's kind."""
        text = f"{what} has no declared maximum cost for this model, so the call cannot be paid for in advance"
        super().__init__(f"{field}: {text}.", fields=[FieldViolation(field, text)])


class ContextLengthExceededError(ApiError):
    """The prompt leaves no room for an answer."""

    reason = ErrorReason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED

    def __init__(self, context_tokens: int, prompt_tokens: int) -> None:
        text = f"has at least {prompt_tokens} tokens, and the model's context has room for {context_tokens}"
        super().__init__(
            f"The prompt {text}.",
            metadata={"context_tokens": str(context_tokens), "prompt_tokens": str(prompt_tokens)},
            fields=[FieldViolation("messages", text)],
        )


class ProviderError(ApiError):
    """A call that ended at the provider. Subclasses say how; `status` is the provider's, 0 where it gave none."""

    def __init__(
        self,
        public: str,
        provider: str,
        status: int = 0,
        *,
        internal: str = "",
        facts: Mapping[str, str] | None = None,
        fields: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
    ) -> None:
        metadata = {"provider": provider, **(facts or {})}
        if status:
            metadata["provider_status"] = str(status)
        super().__init__(public, internal=internal, metadata=metadata, fields=fields, retry_after=retry_after)
        self.status = status


class ProviderFailedError(ProviderError):
    """The provider broke, before or in the middle of its answer."""

    reason = ErrorReason.ERROR_REASON_PROVIDER_FAILED

    def __init__(self, provider: str, internal: str, status: int = 0) -> None:
        super().__init__("The model's provider failed. Try again.", provider, status, internal=internal)


class ProviderTimeoutError(ProviderError):
    """The provider kept silent for too long."""

    reason = ErrorReason.ERROR_REASON_PROVIDER_TIMEOUT

    def __init__(self, provider: str, internal: str, status: int = 0) -> None:
        super().__init__("The model's provider did not answer in time.", provider, status, internal=internal)


class ProviderRefusedError(ProviderError):
    """The provider refused what the request says; its own words are passed on."""

    reason = ErrorReason.ERROR_REASON_PROVIDER_REFUSED


class ProviderOverloadedError(ProviderError):
    """The provider's own limits are reached."""

    reason = ErrorReason.ERROR_REASON_PROVIDER_OVERLOADED

    def __init__(self, provider: str, status: int, retry_after: float) -> None:
        text = "The model's provider is at its limits. Try again later."
        super().__init__(text, provider, status, retry_after=retry_after)


class ProviderMisconfiguredError(ProviderError):
    """The provider refused our credential, account or address."""

    reason = ErrorReason.ERROR_REASON_PROVIDER_MISCONFIGURED

    def __init__(self, provider: str, status: int, internal: str) -> None:
        text = "The model's provider is not set up correctly here. The operator must look."
        super().__init__(text, provider, status, internal=internal)
