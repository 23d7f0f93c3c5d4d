"""The `[[profiles]]` of a configuration file."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from server.models.config_table import Table
from server.models.entries import ProfileEntry
from server.models.profiles import (
    DEFAULT_OWNER,
    MAX_DESCRIPTION_CHARACTERS,
    MAX_OWNER_CHARACTERS,
    MAX_PROMPT_CHARACTERS,
    MAX_TEMPERATURE,
    NAME,
)

PROFILE_KEYS: Final = ("name", "model", "prompt", "description", "owned_by", "temperature", "max_output")


def read_profile(
    table: Table, models: Container[str], profiles: Container[str], declared: Container[str]
) -> ProfileEntry:
    """One table. `models` are those that can stand behind it, `profiles` the names of the tables before, `declared`
    of all in the file. Raises `ConfigFileError`."""
    table.refuse_unknown(PROFILE_KEYS)
    name = table.unique("name", table.text("name"), profiles.__contains__)
    if not NAME.fullmatch(name):
        raise table.wrong("name", "must be 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit")
    if name in models:
        raise table.wrong("name", f"{name!r} is the name of a model already")
    return ProfileEntry(
        name=name,
        model=_model(table, models, declared),
        prompt=table.prose("prompt", MAX_PROMPT_CHARACTERS),
        description=table.prose("description", MAX_DESCRIPTION_CHARACTERS) if table.has("description") else "",
        owned_by=table.short("owned_by", DEFAULT_OWNER, MAX_OWNER_CHARACTERS),
        temperature=table.number("temperature", 0.0, MAX_TEMPERATURE),
        max_output_tokens=table.tokens("max_output"),
    )


def _model(table: Table, models: Container[str], declared: Container[str]) -> str:
    model = table.text("model")
    if model in models:
        return model
    if model in declared:
        raise table.wrong("model", f"{model!r} is a profile itself; name the model behind it")
    raise table.wrong("model", f"no model is called {model!r} in this file")
