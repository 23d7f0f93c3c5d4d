"""Which HTTP headers become metadata of a call, and which metadata of a reply becomes headers."""

from __future__ import annotations

import re
from functools import lru_cache

from bridge.caller import Metadata
from bridge.errors import CredentialInvalid, CredentialMissing, InvalidRequest
from bridge.http.fields import AnswerFields, RequestFields

_FORWARDED = {"idempotency-key": "Idempotency-Key", "traceparent": "traceparent"}
_KEY_ID = "key_"
_INVISIBLE = re.compile(r"[^\x20-\x7e]")
_MAX_USER_AGENT = 300
_SHOWN_PREFIXES = ("x-", "openai-", "ratelimit")
_SHOWN = frozenset({"cache-control", "retry-after", "retry-after-ms", "idempotent-replayed"})
_OWN = frozenset({"x-process-time", "x-content-type-options", "x-frame-options"})


def request_metadata(headers: RequestFields, wants_credential: bool) -> list[tuple[str, str | bytes]]:
    """The metadata of a call: the credential, Idempotency-Key and traceparent; where no credential is wanted (sign-in),
    the User-Agent as `x-user-agent`, for the list of sessions.

    An API key in `x-api-key` is sent on as a bearer token. Raises `CredentialMissing` where one is wanted,
    `CredentialInvalid` where what came has characters that no credential has, `InvalidRequest` for other headers.
    """
    credential = _credential(headers)
    if credential is None and wants_credential:
        raise CredentialMissing()
    metadata = _metadata(headers, credential)
    if not wants_credential and "user-agent" in headers:
        metadata.append(("x-user-agent", _INVISIBLE.sub("?", headers["user-agent"][:_MAX_USER_AGENT])))
    return metadata


def pair_metadata(headers: RequestFields, key_id: str, secret: str) -> list[tuple[str, str | bytes]]:
    """The same for a key that is given by its id and its secret, sent on as `Bearer ID:SECRET`; the server refuses a
    secret of another key."""
    if ":" in key_id or not key_id.startswith(_KEY_ID):
        raise CredentialInvalid()
    return _metadata(headers, f"{key_id}:{secret}")


def has_credential(headers: RequestFields) -> bool:
    """Whether a request carries anything that may be a credential."""
    return _credential(headers) is not None


def _metadata(headers: RequestFields, credential: str | None) -> list[tuple[str, str | bytes]]:
    metadata: list[tuple[str, str | bytes]] = []
    if credential is not None:
        if not is_visible(credential):
            raise CredentialInvalid()
        metadata.append(("authorization", f"Bearer {credential}"))
    for name, shown in _FORWARDED.items():
        value = headers.get(name)
        if value is not None:
            if not is_visible(value):
                raise InvalidRequest(f"The header {shown} holds characters outside visible ASCII.", field=shown)
            metadata.append((name, value))
    return metadata


def show_metadata(metadata: Metadata, headers: AnswerFields) -> None:
    """Adds what clients may see of a reply's metadata to `headers`. The server's `x-request-id` wins over ours."""
    for name, value in metadata:
        if _is_shown(name) and isinstance(value, str) and is_visible(value):
            headers[name] = value


def is_visible(text: str) -> bool:
    """Whether it is nothing but visible ASCII and spaces."""
    return text.isascii() and text.isprintable()


@lru_cache(maxsize=1024)
def _is_shown(name: str) -> bool:
    if name in _OWN or name.endswith("-bin"):
        return False
    return name in _SHOWN or name.startswith(_SHOWN_PREFIXES)


def _credential(headers: RequestFields) -> str | None:
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return headers.get("x-api-key", "").strip() or None
