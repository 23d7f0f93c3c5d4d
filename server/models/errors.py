"""Why a model cannot be called, or a profile not be made."""

from __future__ import annotations

from server.rpc.errors import ApiError, FieldViolation
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


class FreeModelsOnlyError(ApiError):
    """A trial key asks for a model that costs something."""

    reason = ErrorReason.ERROR_REASON_FREE_MODELS_ONLY

    def __init__(self, model: str) -> None:
        public = (
            f"A trial key calls only models that cost nothing, and `{model}` does cost. Register for a key of your own."
        )
        super().__init__(public, metadata={"model": model}, fields=[FieldViolation("model", "costs something")])


class ProfileNameTakenError(ApiError):
    """A profile is to be made under a name that calls use already."""

    reason = ErrorReason.ERROR_REASON_PROFILE_NAME_TAKEN

    def __init__(self, name: str, noun: str) -> None:
        """`noun` says what has the name: "model" or "profile"."""
        text = f"is the name of a {noun} already"
        super().__init__(
            f"profile.id: {name!r} {text}.", metadata={"name": name}, fields=[FieldViolation("profile.id", text)]
        )


class ProfileConfiguredError(ApiError):
    """The configuration file declares the profile, and would undo the change at the next start."""

    reason = ErrorReason.ERROR_REASON_PROFILE_CONFIGURED

    def __init__(self, name: str) -> None:
        public = f"The profile `{name}` is declared in the configuration file; change it there."
        super().__init__(public, metadata={"name": name})
