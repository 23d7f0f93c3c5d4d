"""The model that a call asks for, as its caller may have it."""

from __future__ import annotations

from server.models.catalogue import CallableModel, Catalogue
from server.models.errors import FreeModelsOnlyError, ModelNotFoundError
from server.rpc.errors import FieldViolation
from server.rpc.principal import Principal


async def choose_model(catalogue: Catalogue, name: str, caller: Principal) -> CallableModel:
    """The model or profile of this name, priced for the caller's organization.

    Raises `ModelNotFoundError`, naming the field, `ModelUnpricedError`, and `FreeModelsOnlyError` for a trial key.
    """
    model = catalogue.cached(name, caller.org_id, caller.models)
    if model is None:
        try:
            model = await catalogue.find(name, caller.org_id, caller.models)
        except ModelNotFoundError as error:
            error.fields = (FieldViolation("model", "is no model that you can call"),)
            raise
    if caller.free_models_only and not model.costs_nothing:
        raise FreeModelsOnlyError(name)
    return model
