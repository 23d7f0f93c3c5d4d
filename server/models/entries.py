"""Providers, models and profiles as a configuration declares them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """A provider."""

    name: str
    kind: str
    base_url: str
    api_key: str = field(default="", repr=False)
    """Empty: none is sent."""


@dataclass(frozen=True, slots=True)
class PriceEntry:
    """Nano-dollars per million tokens of each class."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model, with every default filled in."""

    name: str
    provider: str
    upstream: str
    context_tokens: int
    max_output_tokens: int
    price: PriceEntry | None
    """None: free, or refused until it has a price."""
    free: bool = False
    tokenizer: str | None = None
    reasoning: bool = False
    max_tokens_field: str = "max_tokens"
    image_max_tokens: int | None = None
    audio_second_max_tokens: int | None = None
    file_max_tokens: int | None = None
    stream_usage: bool = True


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A profile, with every default filled in."""

    name: str
    model: str
    prompt: str = field(repr=False)
    description: str = ""
    owned_by: str = "tollbridge"
    temperature: float | None = None
    max_output_tokens: int | None = None
