"""A model that calls can name, and the provider behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from server.foundation import money
from server.models.prices import Price
from server.models.profiles import Profile
from tollbridge.models.v1.model_pb2 import Model, ModelPrice


@dataclass(frozen=True, slots=True)
class Provider:
    """Who answers, and how to reach it."""

    name: str
    kind: str
    """The protocol: "openai"."""
    base_url: str
    """Without a slash at its end, for instance "https://host/v1"."""
    api_key: str = field(repr=False)
    """Empty: none is sent."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the provider understands for this model."""

    stream_usage: bool
    """`stream_options.include_usage`."""


@dataclass(frozen=True, slots=True)
class CallableModel:
    """A model, or a profile of one, with everything that a call to it must know, priced for one organization."""

    id: str
    provider: Provider
    upstream: str
    """Its name at the provider."""
    context_tokens: int
    """Most tokens of prompt and answer together."""
    max_output_tokens: int
    tokenizer: str | None
    """"o200k_base" or "cl100k_base"; None: unknown, so input is bounded by its bytes."""
    price: Price | None
    """None only where `free`, or where the model cannot be called."""
    free: bool
    create_time: datetime
    reasoning: bool
    max_tokens_field: str
    """The field that bounds its answer: "max_tokens" or "max_completion_tokens"."""
    image_max_tokens: int | None
    """Most tokens of one image; None: images have no bound and are refused. The same for the next two."""
    audio_second_max_tokens: int | None
    file_max_tokens: int | None
    capabilities: Capabilities
    profile: Profile | None = None
    """The profile that was asked for, whose bounds are already in the others; None: the model by its own name."""

    @property
    def name(self) -> str:
        """The name that calls use."""
        return self.id if self.profile is None else self.profile.id

    @property
    def costs_nothing(self) -> bool:
        """Whether no call to it can cost anything: free, or every price is zero."""
        price = self.price
        return self.free or (price is not None and price.dearest_input == price.dearest_output == 0)

    @property
    def callable(self) -> bool:
        """Whether a call to it can be paid."""
        return self.free or self.price is not None


def to_proto(model: CallableModel) -> Model:
    """The resource as callers see it."""
    profile = model.profile
    return Model(
        id=model.name,
        object="model",
        created=int((model if profile is None else profile).create_time.timestamp()),
        owned_by=model.provider.name if profile is None else profile.owned_by,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        price=None if model.price is None or model.free else _price_to_proto(model.price),
        profile=profile is not None,
        description="" if profile is None else profile.description,
    )


def _price_to_proto(price: Price) -> ModelPrice:
    return ModelPrice(
        input=money.to_text(price.input),
        cache_read=money.to_text(price.cache_read),
        cache_write=money.to_text(price.cache_write),
        output=money.to_text(price.output),
        reasoning=money.to_text(price.reasoning),
        currency="USD",
    )
