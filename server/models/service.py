"""ModelService: OpenAI's list of models, and one of them."""

from __future__ import annotations

from typing import Final

from server.models.catalogue import Catalogue
from server.models.models import CallableModel, to_proto
from server.rpc.context import CallContext
from tollbridge.models.v1.model_pb2 import Model
from tollbridge.models.v1.model_service_pb2 import GetModelRequest, ListModelsRequest, ListModelsResponse

_MOST_SHOWN: Final = 10_000


class ModelService:
    """Serves tollbridge.models.v1.ModelService."""

    NAME = "tollbridge.models.v1.ModelService"

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._shown: dict[int, tuple[CallableModel, Model]] = {}

    async def list_models(self, _request: ListModelsRequest, context: CallContext) -> ListModelsResponse:
        """The models that the caller's credential may call."""
        principal = context.principal
        models = await self._catalogue.visible(principal.org_id, principal.models)
        shown = [model for model in models if model.costs_nothing or not principal.free_models_only]
        return ListModelsResponse(object="list", data=[self._show(model) for model in shown])

    async def get_model(self, request: GetModelRequest, context: CallContext) -> Model:
        """One model. Raises `ModelNotFoundError`, `ModelUnpricedError`."""
        principal = context.principal
        return to_proto(await self._catalogue.find(_name(request.id), principal.org_id, principal.models))

    def _show(self, model: CallableModel) -> Model:
        """The model as callers see it, made once for as long as the catalogue has it; for copying alone."""
        known = self._shown.get(id(model))
        if known is None or known[0] is not model:
            if len(self._shown) >= _MOST_SHOWN:
                self._shown.clear()
            known = self._shown[id(model)] = model, to_proto(model)
        return known[1]


def _name(path: str) -> str:
    """The model's name. OpenAI's clients escape its slashes, which a path of several segments keeps escaped."""
    return path.replace("%2F", "/").replace("%2f", "/")
