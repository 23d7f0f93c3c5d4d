"""A request that names a profile, as the request to the model that stands behind it.

The prompt goes before the caller's messages, whose bytes stay as they came. What would take the prompt away, put
another in its place or hand it out is refused by the names of its keys; a model that is asked to repeat its prompt in
words may still do so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson
from msgspec import structs

from server.chat.errors import ProviderRefusedError
from server.chat.governed_body import GovernedBody
from server.chat.key_folding import fold, look_alike, shown
from server.chat.messages import MAX_MESSAGES
from server.models.models import CallableModel
from server.models.profiles import Profile
from server.rpc.errors import FieldViolation, InvalidArgumentError

_WORDS: Final = (
    *("prompt", "system", "instruction", "template", "preset", "persona", "echo", "verbose", "truncat"),
    *("transform", "full_text", "token_ids", "special_tokens", "continue_final", "generation_settings"),
)
"""Parts of names by which providers take another prompt, another template for it, or a wish to read or cut it."""

_NAMES: Final = frozenset(
    {
        *("documents", "raw", "options", "extra_body", "response_fields", "n_keep", "context_shift"),
        *("context_length_exceeded_behavior", "previous_response_id", "conversation", "mm_processor_kwargs", "input"),
    }
)
_HARMLESS: Final = frozenset({"prompt_cache_key", "prompt_cache_retention", "system_fingerprint"})
_LOOKED_LIKE: Final = frozenset({"temperature"})
_MESSAGES: Final = "messages"


def profiled(body: GovernedBody, model: CallableModel) -> GovernedBody:
    """The body with the profile's prompt, temperature and output limit; itself where the model has no profile.

    Raises `InvalidArgumentError` for a key that would touch the prompt, and for 2,048 messages without it.
    """
    profile = model.profile
    if profile is None:
        return body
    _refuse_tampering(body.values)
    messages = body.values[_MESSAGES]
    assert isinstance(messages, list), "checked when it was read"
    if len(messages) >= MAX_MESSAGES:
        text = f"must be a list of 1 to {MAX_MESSAGES - 1} messages: the model's own prompt is one more"
        raise InvalidArgumentError.of(_MESSAGES, text)
    prompt = {"role": "system", "content": profile.prompt}
    encoded = orjson.dumps(prompt)
    # An array that holds at least one message: what stands after its bracket is the caller's, byte for byte.
    joined = b"".join((b"[", encoded, b",", memoryview(body.members[_MESSAGES])[1:]))
    added: dict[str, object] = {_MESSAGES: [prompt, *messages], **_defaults(body, model, profile)}
    members = {**body.members, **{key: orjson.dumps(value) for key, value in added.items() if key != _MESSAGES}}
    members[_MESSAGES] = joined
    return structs.replace(
        body, members=members, values={**body.values, **added}, size=body.size + len(encoded) + 1, preamble=1
    )


def silence(error: BaseException) -> None:
    """Takes a provider's own words out of its refusal: they may quote the prompt, and count it among the messages."""
    if isinstance(error, ProviderRefusedError):
        error.public = "The model's provider refused the request."
        error.fields = tuple(FieldViolation(_field(row), "was refused by the provider") for row in error.fields)


def _refuse_tampering(values: Mapping[str, object]) -> None:
    for key in values:
        folded = fold(key)
        if folded in _HARMLESS:
            continue
        if folded in _NAMES or any(word in folded for word in _WORDS):
            raise InvalidArgumentError.of(shown(key), "is not taken where the model is a profile")
    found = look_alike(values, _LOOKED_LIKE)
    if found is not None:
        raise InvalidArgumentError.of(shown(found[0]), f"looks like {found[1]} without being it")


def _defaults(body: GovernedBody, model: CallableModel, profile: Profile) -> dict[str, object]:
    """What the profile sets where the caller says nothing. A larger limit than the model's is cut later."""
    added: dict[str, object] = {}
    if profile.temperature is not None and body.values.get("temperature") is None:
        added["temperature"] = profile.temperature
    if profile.max_output_tokens is not None and body.max_tokens is None:
        added[model.max_tokens_field] = model.max_output_tokens
    return added


def _field(row: FieldViolation) -> str:
    return _MESSAGES if row.field.startswith(_MESSAGES) else row.field
