"""ModelService: OpenAI's list of models, and one of them."""

from __future__ import annotations

from server.models.catalogue import Catalogue
from server.models.models import to_proto
from server.rpc.context import CallContext
from tollbridge.models.v1.model_pb2 import Model
from tollbridge.models.v1.model_service_pb2 import GetModelRequest, ListModelsRequest, ListModelsResponse


class ModelService:
    """Serves tollbridge.models.v1.ModelService."""

    NAME = "tollbridge.models.v1.ModelService"

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def list_models(self, _request: ListModelsRequest, context: CallContext) -> ListModelsResponse:
        """The models that the caller's credential may call."""
        principal = context.principal
        models = await self._catalogue.visible(principal.org_id, principal.models)
        shown = [model for model in models if model.costs_nothing or not principal.free_models_only]
        return ListModelsResponse(object="list", data=[to_proto(model) for model in shown])

    async def get_model(self, request: GetModelRequest, context: CallContext) -> Model:
        """One model. Raises `ModelNotFoundError`, `ModelUnpricedError`."""
        principal = context.principal
        return to_proto(await self._catalogue.find(_name(request.id), principal.org_id, principal.models))


def _name(path: str) -> str:
    """The model's name. OpenAI's clients escape its slashes, which a path of several segments keeps escaped."""
    return path.replace("%2F", "/").replace("%2f", "/")
