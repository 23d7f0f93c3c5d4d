"""What a provider's refusal means for the caller: whose fault it is, and what may be told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from server.chat import lenient_json
from server.chat.errors import (
    ProviderError,
    ProviderFailedError,
    ProviderMisconfiguredError,
    ProviderOverloadedError,
    ProviderRefusedError,
    ProviderTimeoutError,
)
from server.models.models import Provider
from server.rpc.errors import FieldViolation

_MAX_TEXT: Final = 2000
_MAX_FACT: Final = 200
_DEFAULT_WAIT_SECONDS: Final = 1.0
_MAX_WAIT_SECONDS: Final = 3600.0

_REFUSALS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_TIMEOUTS: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT})


def failure(provider: Provider, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error for an answer that is no success. Only a refusal of the request shows the provider's own words."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderOverloadedError(provider.name, status, wait_seconds(headers))
    if status in _TIMEOUTS:
        return ProviderTimeoutError(provider.name, f"status {status}", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProviderFailedError(provider.name, _internal(provider, status, body), status)
    if status in _REFUSALS:
        return refusal(provider, status, _error_object(body))
    return ProviderMisconfiguredError(provider.name, status, _internal(provider, status, body))


def in_band(provider: Provider, error: bytes) -> ProviderError:
    """The error for an `error` object inside an answer that began as a success."""
    described = _error_object(b'{"error":' + error + b"}")
    status = described.get("code")
    if isinstance(status, str) and status.isascii() and status.isdigit():
        status = int(status)
    if isinstance(status, int) and status in _REFUSALS:
        return refusal(provider, status, described)
    if status == HTTPStatus.TOO_MANY_REQUESTS or described.get("type") == "rate_limit_error":
        return ProviderOverloadedError(provider.name, HTTPStatus.TOO_MANY_REQUESTS, _DEFAULT_WAIT_SECONDS)
    return ProviderFailedError(provider.name, _internal(provider, HTTPStatus.OK, error), 0)


def refusal(provider: Provider, status: int, described: Mapping[str, Any]) -> ProviderRefusedError:
    """The provider's message, type, code and param, without our credential should it stand in them."""
    message = _text(provider, described.get("message"), _MAX_TEXT)
    param = _text(provider, described.get("param"), _MAX_FACT)
    facts = {
        f"provider_{key}": text for key in ("type", "code") if (text := _text(provider, described.get(key), _MAX_FACT))
    }
    fields = [FieldViolation(param, message or "was refused by the provider")] if param else []
    public = message or "The model's provider refused the request."
    return ProviderRefusedError(public, provider.name, status, facts=facts, fields=fields)


def wait_seconds(headers: Mapping[str, str]) -> float:
    """Seconds until a try makes sense, by `retry-after-ms` or `retry-after`; one where neither is a sane number."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / divisor
        except ValueError:
            continue
        if 0 < seconds <= _MAX_WAIT_SECONDS:
            return seconds
    return _DEFAULT_WAIT_SECONDS


def _error_object(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = lenient_json.read(body)
    except orjson.JSONDecodeError:
        return {}
    described = parsed.get("error", parsed) if isinstance(parsed, dict) else {}
    if isinstance(described, str):
        return {"message": described}
    return described if isinstance(described, dict) else {}


_CLASS: Final = re.compile(r"\[json\.exception\.[^\]]*\] ?")
"""What llama.cpp's parser puts before its texts: a name out of its source."""


def _text(provider: Provider, value: object, longest: int) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        return ""
    return _CLASS.sub("", without_credential(provider, str(value)))[:longest]


def without_credential(provider: Provider, text: str) -> str:
    """The text with stars for our credential. Only then may it be cut: a part of a key is a secret too."""
    return text.replace(provider.api_key, "***") if provider.api_key else text


def excerpt(provider: Provider, body: bytes) -> str:
    """The beginning of a provider's words, for the log."""
    return without_credential(provider, body.decode(errors="replace"))[:_MAX_FACT]


def _internal(provider: Provider, status: int, body: bytes) -> str:
    return f"status {status}: {excerpt(provider, body)}"
