"""OpenAI's request, opened at its top level only.

One table says which keys are governed and what each may hold. Every other value stays the bytes that came: numbers of
any size, escapes, the order of keys inside. The body is rebuilt once from what was read here, so that a key that came
twice reaches nobody twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from server.chat.key_folding import fold, look_alike, shown
from server.chat.messages import check_messages, check_text, check_tools
from server.chat.repeated_keys import refuse_repeated_keys
from server.rpc.errors import InvalidArgumentError

MAX_MODEL_CHARACTERS: Final = 200
MAX_ANSWERS: Final = 128
_MAX_NUMBER: Final = 2**53
_SMALL_BYTES: Final = 1 << 20
_MAX_HOLDERS: Final = 500_000
_MAX_VALUES: Final = 2_000_000
MAX_DEPTH: Final = 100
_HOLDERS: Final = frozenset({dict, list})

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])

FORBIDDEN: Final = frozenset({"api_base", "base_url", "api_key", "api_version", "custom_llm_provider"})
"""Keys that would send the call, or our credential, elsewhere. They end the call in any spelling."""

_LIMIT: Final = "max_completion_tokens or max_tokens"
OTHER_LIMITS: Final = {
    "max_output_tokens": _LIMIT,
    "max_new_tokens": _LIMIT,
    "n_predict": _LIMIT,
    "num_predict": _LIMIT,
    "max_gen_len": _LIMIT,
    "n_cmpl": "n",
}
"""Names that some providers take for the output limit or the number of answers, and OpenAI's for the same: only those
are bounded and priced here."""


class GovernedBody(msgspec.Struct, frozen=True):
    """A request whose governed keys hold what they may hold."""

    members: Mapping[str, bytes | memoryview | msgspec.Raw]
    """The top level: each key once, its value's bytes as they came."""
    values: Mapping[str, object]
    """The same, parsed."""
    size: int
    """Bytes of the body as it came, and of what was added to it."""
    model: str
    """Name of the model, 1 to 200 characters."""
    streams: bool
    """Whether the answer is wanted in pieces."""
    preamble: int = 0
    """Messages of the platform's own that stand before the caller's."""

    @property
    def wants_usage(self) -> bool:
        """Whether the client asked for the usage chunk of a stream."""
        options = self.values.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def max_tokens(self) -> int | None:
        """The smallest output limit that was asked for, or None."""
        asked = [self.values.get("max_tokens"), self.values.get("max_completion_tokens")]
        return min((limit for limit in asked if isinstance(limit, int)), default=None)

    @property
    def answers(self) -> int:
        """How many answers are wanted, 1 to 128."""
        count = self.values.get("n")
        return count if isinstance(count, int) else 1


def _reason(error: Exception) -> str:
    """What the parser minds and where; it never repeats the text."""
    if isinstance(error, orjson.JSONDecodeError):
        return f"{error.msg.split(':')[0]} at line {error.lineno}, column {error.colno}"
    return (
        "it is nested too deeply" if isinstance(error, RecursionError) else "it holds a value that JSON does not have"
    )


def read_body(data: bytes) -> GovernedBody:
    """Opens a request. Raises `InvalidArgumentError` naming the key, or saying that the body is no JSON object."""
    _refuse_swelling(data)
    try:
        values = orjson.loads(data)
        if not isinstance(values, dict):
            raise InvalidArgumentError("The body must be a JSON object.")
        members = _members.decode(data)
    except (orjson.JSONDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgumentError(f"The body is not valid JSON: {_reason(error)}.") from None
    _refuse_depth(data, values)
    unusual = [key for key in values if key not in _USUAL]
    if unusual:
        _refuse_smuggled(unusual)
    for key in _REQUIRED:
        GOVERNED[key](key, values.get(key))
    for key, value in values.items():
        if key in _OPTIONAL:
            GOVERNED[key](key, value)
    refuse_repeated_keys("messages", bytes(members["messages"]), values["messages"])
    return GovernedBody(members, values, len(data), values["model"], values.get("stream") is True)


def _refuse_swelling(data: bytes) -> None:
    """32 MB of `[],[],…` would take a gigabyte once read. Texts and media of that size have few of these signs."""
    if len(data) <= _SMALL_BYTES:
        return
    if data.count(b"[") + data.count(b"{") > _MAX_HOLDERS or data.count(b",") > _MAX_VALUES:
        raise InvalidArgumentError("The body holds too many values.")


def _refuse_depth(data: bytes, values: Mapping[str, object]) -> None:
    """More levels can be read than written: what is too deep would fail in the middle of a call."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for holder in level
            for child in (holder.values() if type(holder) is dict else holder)
            if type(child) in _HOLDERS
        ]
        if not level:
            return
    raise InvalidArgumentError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _refuse_smuggled(keys: Sequence[str]) -> None:
    for key in keys:
        folded = fold(key)
        if folded in FORBIDDEN:
            raise InvalidArgumentError.of(shown(key), "is the operator's to set, not the caller's")
        if folded in OTHER_LIMITS:
            raise InvalidArgumentError.of(shown(key), f"is not taken; use {OTHER_LIMITS[folded]}")
    found = look_alike(keys, _NAMES)
    if found is not None:
        raise InvalidArgumentError.of(shown(found[0]), f"looks like {found[1]} without being it")


def _check_model(key: str, value: object) -> None:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_MODEL_CHARACTERS:
        raise InvalidArgumentError.of(key, f"must be text of 1 to {MAX_MODEL_CHARACTERS} characters")
    check_text(key, value)


def _check_user(key: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise InvalidArgumentError.of(key, "must be text")
    check_text(key, value)


def _check_flag(key: str, value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise InvalidArgumentError.of(key, "must be true or false")


def _check_limit(key: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < _MAX_NUMBER:
        raise InvalidArgumentError.of(key, "must be a whole number from 1 to 2^53 - 1")


def _check_answers(key: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ANSWERS:
        raise InvalidArgumentError.of(key, f"must be a whole number from 1 to {MAX_ANSWERS}")


def _check_stream_options(key: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise InvalidArgumentError.of(key, "must be an object")
    found = look_alike(value, frozenset({"include_usage"}))
    if found is not None:
        raise InvalidArgumentError.of(f"{key}.{shown(found[0])}", f"looks like {found[1]} without being it")
    _check_flag(f"{key}.include_usage", value.get("include_usage"))


def _check_shapeless(_key: str, _value: object) -> None:
    """Bounded later, or only guarded against look-alikes here."""


GOVERNED: Final[Mapping[str, Callable[[str, object], None]]] = {
    "model": _check_model,
    "messages": check_messages,
    "stream": _check_flag,
    "stream_options": _check_stream_options,
    "max_tokens": _check_limit,
    "max_completion_tokens": _check_limit,
    "n": _check_answers,
    "user": _check_user,
    "tools": check_tools,
    "functions": _check_shapeless,
    "response_format": _check_shapeless,
    "prediction": _check_shapeless,
    "modalities": _check_shapeless,
    "audio": _check_shapeless,
    "web_search_options": _check_shapeless,
    "search_parameters": _check_shapeless,
    "plugins": _check_shapeless,
    "models": _check_shapeless,
    "best_of": _check_shapeless,
}
"""Each governed key and the check of its value, which raises `InvalidArgumentError`."""

_REQUIRED: Final = ("model", "messages")
_OPTIONAL: Final = GOVERNED.keys() - set(_REQUIRED)
_NAMES: Final = frozenset(GOVERNED)
_USUAL: Final = _NAMES | {
    "frequency_penalty",
    "function_call",
    "logit_bias",
    "logprobs",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "service_tier",
    "stop",
    "store",
    "temperature",
    "tool_choice",
    "top_logprobs",
    "top_p",
}
"""Keys that need not be compared with others: governed, or documented by OpenAI and like no governed one."""
