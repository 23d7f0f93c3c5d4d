# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Unpack

from tollbridge_sdk._generated import methods
from tollbridge_sdk.async_calls import AsyncService, UnaryCall
from tollbridge_sdk.messages import models
from tollbridge_sdk.options import CallOptions


class AsyncModels(AsyncService):
    """Models that the caller can name in chat."""

    def list_models(
        self, request: models.ListModelsRequest | None = None, **options: Unpack[CallOptions]
    ) -> UnaryCall[models.ListModelsResponse]:
        """Lists the models that the caller's credential may call, in the configured order; the first can be
        called as it is. Not paged, as OpenAI's list."""
        return self._calls.unary(
            methods.MODELS_LIST_MODELS,
            models.ListModelsRequest() if request is None else request,
            models.ListModelsResponse,
            options,
        )

    def get_model(self, request: models.GetModelRequest, **options: Unpack[CallOptions]) -> UnaryCall[models.Model]:
        """Reads one model. One that the caller's key may not call answers like an unknown name."""
        return self._calls.unary(methods.MODELS_GET_MODEL, request, models.Model, options)
