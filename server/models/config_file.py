"""The configuration file: providers, models and profiles in TOML, checked to the last key before they are applied."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from server.models.config_errors import ConfigFileError, line_of, line_of_section, not_utf_8
from server.models.config_profiles import read_profile
from server.models.config_table import Table
from server.models.entries import ModelEntry, PriceEntry, ProfileEntry, ProviderEntry
from server.models.known import Known, is_reasoning, tokenizer_of

DEFAULT_CONTEXT: Final = 32_768
_SECTIONS: Final = ("providers", "models", "profiles")
_PROVIDER_KEYS: Final = ("name", "kind", "base_url", "api_key", "api_key_env")
_PRICE_KEYS: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
_MODEL_KEYS: Final = (
    *("name", "provider", *_PRICE_KEYS, "context", "max_output", "upstream", "free", "tokenizer", "reasoning_model"),
    *("max_tokens_field", "image_max_tokens", "audio_second_max_tokens", "file_max_tokens", "stream_usage"),
)
_FIELDS: Final = ("max_tokens", "max_completion_tokens")
_TOKENIZERS: Final = ("o200k_base", "cl100k_base")
_AT_LINE: Final = re.compile(r"at line (\d+)")

LookUp = Callable[[str], Known]
"""What is known of a model by its name; `known.look_up` with a time."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a file declares, in its order."""

    providers: Sequence[ProviderEntry]
    models: Sequence[ModelEntry]
    profiles: Sequence[ProfileEntry] = ()


def read(path: Path, environment: Mapping[str, str], look_up: LookUp, elsewhere: Collection[str] = ()) -> ModelConfig:
    """The file's providers, models and profiles. `elsewhere` names models that are there without the file.

    Raises `ConfigFileError`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigFileError(str(path), None, "", f"cannot be read: {error.strerror}") from error
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise not_utf_8(str(path), content, error) from error
    return parse(text, str(path), environment, look_up, elsewhere)


def parse(
    text: str, source: str, environment: Mapping[str, str], look_up: LookUp, elsewhere: Collection[str] = ()
) -> ModelConfig:
    """The same from text; `source` names it in errors. `environment` is where `api_key_env` looks."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _AT_LINE.search(str(error))
        raise ConfigFileError(source, int(match[1]) if match else None, "", f"no valid TOML: {error}") from error
    for key in document:
        if key not in _SECTIONS:
            raise ConfigFileError(
                source, line_of_section(text, key), key, f"unknown key; known are {', '.join(_SECTIONS)}"
            )
    providers: dict[str, ProviderEntry] = {}
    for table in _tables(document, source, text, "providers"):
        entry = _provider(table, environment, providers)
        providers[entry.name] = entry
    models: dict[str, ModelEntry] = {}
    for table in _tables(document, source, text, "models"):
        model = _model(table, look_up, providers, models)
        models[model.name] = model
    profiles = _profiles(_tables(document, source, text, "profiles"), {*models, *elsewhere})
    return ModelConfig(list(providers.values()), list(models.values()), profiles)


def _profiles(tables: Sequence[Table], models: Collection[str]) -> list[ProfileEntry]:
    declared = {table.text("name", "-") for table in tables}
    profiles: dict[str, ProfileEntry] = {}
    for table in tables:
        entry = read_profile(table, models, profiles, declared)
        profiles[entry.name] = entry
    return list(profiles.values())


def at_name(path: Path, section: str, name: str, reason: str) -> ConfigFileError:
    """The error about the table of that name in a file that was read before."""
    text = path.read_text(encoding="utf-8")
    index = [table.get("name") for table in tomllib.loads(text)[section]].index(name)
    return ConfigFileError(str(path), line_of(text, section, index, "name"), f"{section}[{index}].name", reason)


def _tables(document: Mapping[str, object], source: str, text: str, section: str) -> list[Table]:
    values = document.get(section, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ConfigFileError(
            source, line_of_section(text, section), section, f"must be tables, each headed [[{section}]]"
        )
    return [Table(source, text, section, index, value) for index, value in enumerate(values)]


def _provider(table: Table, environment: Mapping[str, str], providers: Mapping[str, ProviderEntry]) -> ProviderEntry:
    table.refuse_unknown(_PROVIDER_KEYS)
    name = table.unique("name", table.text("name"), providers.__contains__)
    kind = table.choice("kind", None, ("openai",))
    return ProviderEntry(name, kind, _base_url(table), _api_key(table, environment))


def _base_url(table: Table) -> str:
    url = table.text("base_url")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise table.wrong("base_url", "is no URL") from None
    if not valid or not url.isascii() or " " in url:
        raise table.wrong("base_url", "must be an http or https URL, for instance https://api.example.com/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise table.wrong("base_url", "must have no user, query or fragment")
    return url.rstrip("/")


def _api_key(table: Table, environment: Mapping[str, str]) -> str:
    if not table.has("api_key_env"):
        key = table.text("api_key", "-") if table.has("api_key") else ""
        return _header_value(table, "api_key", key)
    if table.has("api_key"):
        raise table.wrong("api_key_env", "stands beside api_key; give one of them")
    variable = table.text("api_key_env")
    if not environment.get(variable):
        raise table.wrong("api_key_env", f"the environment variable {variable} is not set")
    return _header_value(table, "api_key_env", environment[variable])


def _header_value(table: Table, key: str, value: str) -> str:
    if not value.isascii() or (value and (not value.isprintable() or " " in value)):
        raise table.wrong(key, "holds characters that no credential has")
    return value


def _model(
    table: Table,
    look_up: LookUp,
    providers: Mapping[str, ProviderEntry],
    models: Mapping[str, ModelEntry],
) -> ModelEntry:
    table.refuse_unknown(_MODEL_KEYS)
    name = table.unique("name", table.text("name"), models.__contains__)
    provider = table.text("provider")
    if provider not in providers:
        raise table.wrong("provider", f"no provider is called {provider!r} in this file")
    upstream = table.text("upstream", name)
    free = table.flag("free", False)
    needs_known = not table.has("context") or not (free or (table.has("input") and table.has("output")))
    known = look_up(upstream) if needs_known else Known(None, None, None, None, None)
    context = table.tokens("context") or known.context_tokens or DEFAULT_CONTEXT
    max_output = table.tokens("max_output") or context
    if max_output > context:
        raise table.wrong("max_output", f"is more than the context of {context} tokens")
    thinks = table.flag("reasoning_model", is_reasoning(upstream))
    return ModelEntry(
        name=name,
        provider=provider,
        upstream=upstream,
        context_tokens=context,
        max_output_tokens=max_output,
        price=_price(table, known, free),
        free=free,
        tokenizer=_tokenizer(table, upstream),
        reasoning=thinks,
        max_tokens_field=table.choice("max_tokens_field", _FIELDS[thinks], _FIELDS),
        image_max_tokens=table.tokens("image_max_tokens"),
        audio_second_max_tokens=table.tokens("audio_second_max_tokens"),
        file_max_tokens=table.tokens("file_max_tokens"),
        stream_usage=table.flag("stream_usage", True),
    )


def _tokenizer(table: Table, upstream: str) -> str | None:
    if table.has("tokenizer"):
        return table.choice("tokenizer", None, _TOKENIZERS)
    return tokenizer_of(upstream)


def _price(table: Table, known: Known, free: bool) -> PriceEntry | None:
    """The prices given, filled up from what is known; None where nothing is given and nothing is known."""
    given = {key: table.price(key) for key in _PRICE_KEYS}
    if free:
        _refuse_prices(table)
        return None
    own_input, own_output = given["input"], given["output"]
    price_input = own_input if own_input is not None else known.input
    output = own_output if own_output is not None else known.output
    if price_input is None or output is None:
        for key in _PRICE_KEYS:
            if table.has(key):
                missing = "input" if price_input is None else "output"
                raise table.wrong(missing, "is needed beside the other prices: none is known for this model")
        return None
    # The snapshot's cache prices belong to its own input price.
    cache_read = known.cache_read if own_input is None else None
    cache_write = known.cache_write if own_input is None else None
    return PriceEntry(
        input=price_input,
        cache_read=_first(given["cache_read"], cache_read, price_input),
        cache_write=_first(given["cache_write"], cache_write, price_input),
        output=output,
        reasoning=_first(given["reasoning"], output),
    )


def _refuse_prices(table: Table) -> None:
    for key in _PRICE_KEYS:
        if table.has(key):
            raise table.wrong(key, "a model marked free has no price")


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
