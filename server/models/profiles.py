"""A profile: a model under a name of the platform's own, with an identity prompt before every conversation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from server.rpc.errors import InvalidArgumentError
from tollbridge.models.v1 import profile_pb2

CHANGEABLE: Final = ("model", "prompt", "description", "owned_by", "temperature", "max_output_tokens")
"""Values that administrators may change."""

DEFAULT_OWNER: Final = "tollbridge"
MAX_PROMPT_CHARACTERS: Final = 32_000
MAX_DESCRIPTION_CHARACTERS: Final = 500
MAX_OWNER_CHARACTERS: Final = 100
MAX_TEMPERATURE: Final = 2.0
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile."""

    id: str
    """The name that calls use."""
    model: str
    """Id of the model behind it; never another profile."""
    prompt: str = field(repr=False)
    """The first system message that the model gets. For platform administrators' eyes only."""
    create_time: datetime
    update_time: datetime
    description: str = ""
    owned_by: str = DEFAULT_OWNER
    temperature: float | None = None
    """Sent where the caller sends none; None: the provider's own."""
    max_output_tokens: int | None = None
    """Most tokens of an answer; None: the model's."""
    configured: bool = False
    """Whether the configuration file declares it, which then alone changes it."""
    version: int = 1

    @property
    def etag(self) -> str:
        """The version as callers see it."""
        return str(self.version)

    def changed(self, values: Mapping[str, Any], now: datetime) -> Profile:
        """The profile with new values of `CHANGEABLE`. Raises `InvalidArgumentError`, naming the field."""
        made = replace(self, **values, update_time=now)
        if not made.owned_by:
            made = replace(made, owned_by=DEFAULT_OWNER)
        made.check()
        return made

    def check(self) -> None:
        """Raises `InvalidArgumentError` for what no profile can be, naming the field of a request."""
        if not NAME.fullmatch(self.id):
            raise InvalidArgumentError.of(
                "profile.id", "must be 1 to 64 letters, digits, `.`, `_` and `-`, the first a letter or digit"
            )
        if not self.model:
            raise InvalidArgumentError.of("profile.model", "must name the model behind the profile")
        if not self.prompt.strip():
            raise InvalidArgumentError.of("profile.prompt", "must not be empty")
        if "\x00" in self.prompt:
            raise InvalidArgumentError.of("profile.prompt", "must not hold the character U+0000")


def to_proto(profile: Profile, *, with_prompt: bool) -> profile_pb2.Profile:
    """The resource; `with_prompt` for platform administrators only."""
    message = profile_pb2.Profile(
        id=profile.id,
        model=profile.model,
        prompt=profile.prompt if with_prompt else "",
        description=profile.description,
        owned_by=profile.owned_by,
        temperature=profile.temperature,
        max_output_tokens=profile.max_output_tokens,
        configured=profile.configured,
        etag=profile.etag,
    )
    message.create_time.FromDatetime(profile.create_time)
    message.update_time.FromDatetime(profile.update_time)
    return message
