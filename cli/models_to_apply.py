"""The catalogue of this start: the local model where it runs, then what the config file names."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from cli.embedded.model import MODEL_NAME
from cli.launch import Launch
from server.app import Ground
from server.foundation.money import NANO
from server.models import config_file, known
from server.models.catalogue import Catalogue
from server.models.config_errors import ConfigFileError
from server.models.config_file import ModelConfig
from server.models.entries import ModelEntry, PriceEntry, ProviderEntry
from server.models.loader import NameTakenError, apply_config
from server.storage.database import Role

LOCAL_PROVIDER: Final = "local"
_LOCAL_INPUT: Final = NANO // 10
_LOCAL_OUTPUT: Final = 4 * NANO // 10
"""0.10 and 0.40 dollars a million tokens."""

LOCAL_CONTEXT: Final = 2048
"""Tokens that each of the local model's slots has room for."""


def read(path: Path | None, now: datetime, embedded: Collection[str] = ()) -> ModelConfig:
    """The config file, or nothing without one. `embedded` names models that are there without it.

    Raises `ConfigFileError`.
    """
    if path is None:
        return ModelConfig((), ())
    found = config_file.read(path, os.environ, partial(known.look_up, now=now), embedded)
    for section, names in (
        ("providers", [row.name for row in found.providers if row.name == LOCAL_PROVIDER]),
        ("models", [row.name for row in found.models if row.name == MODEL_NAME]),
        ("profiles", [row.name for row in found.profiles if row.name == MODEL_NAME]),
    ):
        for name in names:
            raise config_file.at_name(path, section, name, f"{name!r} is the embedded model's")
    return found


async def apply(launch: Launch, ground: Ground) -> None:
    """Makes the catalogue what this start names. Raises `ConfigFileError`."""
    if launch.model_base_url is None:
        await _write(launch.config_file, ground, read(launch.config_file, ground.clock.now()))
        return
    named = read(launch.config_file, ground.clock.now(), (MODEL_NAME,))
    local = ProviderEntry(LOCAL_PROVIDER, "openai", launch.model_base_url, launch.model_api_key or "")
    both = replace(named, providers=[local, *named.providers], models=[_local_model(), *named.models])
    await _write(launch.config_file, ground, both)


async def apply_file(path: Path, ground: Ground) -> None:
    """Makes the catalogue what the config file names. Raises `ConfigFileError`."""
    await _write(path, ground, read(path, ground.clock.now()))


async def _write(path: Path | None, ground: Ground, named: ModelConfig) -> None:
    sealer, now = ground.root.sealer("provider-credential"), ground.clock.now()
    try:
        async with ground.database.privileged(Role.KEEPER) as transaction:
            await apply_config(transaction, sealer, named.providers, named.models, now, named.profiles)
    except NameTakenError as error:
        if path is None or error.name == MODEL_NAME:
            raise ConfigFileError("the local model", None, "name", error.reason) from error
        raise config_file.at_name(path, error.section, error.name, error.reason) from error


async def first_model(ground: Ground, catalogue: Catalogue) -> str | None:
    """Name of a model for the first call; None where none can be called."""
    visible = await catalogue.visible(ground.new_id(), frozenset())
    return visible[0].name if visible else None


def _local_model() -> ModelEntry:
    price = PriceEntry(_LOCAL_INPUT, _LOCAL_INPUT, _LOCAL_INPUT, _LOCAL_OUTPUT, _LOCAL_OUTPUT)
    return ModelEntry(MODEL_NAME, LOCAL_PROVIDER, MODEL_NAME, LOCAL_CONTEXT, LOCAL_CONTEXT, price)
