# Generated from the protos by tools/sdk. Never edited: ./run generate makes it again.


from typing import Any, Unpack

from tollbridge.models.v1 import model_pb2, model_service_pb2, model_service_pb2_grpc
from tollbridge_sdk._generated import methods
from tollbridge_sdk.calls import Calls, Service, UnaryOptions


class Models(Service):
    """Models that the caller can name in chat."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self._stub: Any = model_service_pb2_grpc.ModelServiceStub(calls.channel)

    def list_models(
        self, request: model_service_pb2.ListModelsRequest | None = None, **options: Unpack[UnaryOptions]
    ) -> model_service_pb2.ListModelsResponse:
        """Lists the models that the caller's credential may call, in the configured order; the first can be
        called as it is. Not paged, as OpenAI's list."""
        return self._calls.unary(
            self._stub.ListModels,
            methods.MODELS_LIST_MODELS,
            model_service_pb2.ListModelsRequest() if request is None else request,
            model_service_pb2.ListModelsResponse,
            options,
        )

    def get_model(self, request: model_service_pb2.GetModelRequest, **options: Unpack[UnaryOptions]) -> model_pb2.Model:
        """Reads one model. One that the caller's key may not call answers like an unknown name."""
        return self._calls.unary(self._stub.GetModel, methods.MODELS_GET_MODEL, request, model_pb2.Model, options)
