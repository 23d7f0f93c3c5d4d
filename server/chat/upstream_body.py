"""The request as the provider gets it: the client's, with the few members that the platform sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
import orjson

from server.chat.governed_body import GovernedBody
from server.models.catalogue import CallableModel

_LIMITS: Final = ("max_tokens", "max_completion_tokens")
_USAGE_ONLY: Final = b'{"include_usage":true}'
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def build(body: GovernedBody, model: CallableModel, limit: int | None) -> bytes:
    """JSON for the provider. `limit` is the output limit that money imposes, in tokens; None leaves the client's.

    One limit goes up, in the field that the model takes: a provider that met two, or one that it does not know, would
    not keep to what is held.
    """
    members: dict[str, bytes | memoryview] = {key: memoryview(raw) for key, raw in body.members.items()}
    if model.upstream != body.model:
        members["model"] = orjson.dumps(model.upstream)
    _set_limit(members, body, model, limit)
    if body.streams:
        _set_stream_options(members, body, model)
    return join(members)


def join(members: Mapping[str, bytes | memoryview]) -> bytes:
    """A JSON object of members whose values are JSON already."""
    return b"{" + b",".join([orjson.dumps(key) + b":" + raw for key, raw in members.items()]) + b"}"


def _set_limit(
    members: dict[str, bytes | memoryview], body: GovernedBody, model: CallableModel, limit: int | None
) -> None:
    asked = body.max_tokens
    wanted = asked if limit is None else limit
    if wanted is None:
        return
    # No more than the model's maximum is held for.
    wanted = min(wanted, model.max_output_tokens)
    given = [key for key in _LIMITS if key in members]
    if wanted == asked and given == [model.max_tokens_field]:
        return
    for key in given:
        del members[key]
    members[model.max_tokens_field] = b"%d" % wanted


def _set_stream_options(members: dict[str, bytes | memoryview], body: GovernedBody, model: CallableModel) -> None:
    options = _options(body)
    if model.capabilities.stream_usage:
        options["include_usage"] = b"true"
    else:
        options.pop("include_usage", None)
    if options:
        members["stream_options"] = _USAGE_ONLY if list(options) == ["include_usage"] else join(options)
    else:
        members.pop("stream_options", None)


def _options(body: GovernedBody) -> dict[str, bytes | memoryview]:
    if not isinstance(body.values.get("stream_options"), dict):
        return {}
    raw = _members.decode(body.members["stream_options"])
    return {key: memoryview(value) for key, value in raw.items()}
