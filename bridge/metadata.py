"""Which HTTP headers become metadata of a call, and which metadata of a reply becomes headers."""

from __future__ import annotations

import re

from multidict import CIMultiDict, CIMultiDictProxy

from bridge.caller import Metadata
from bridge.errors import CredentialInvalid, CredentialMissing, InvalidRequest

_FORWARDED = ("Idempotency-Key", "traceparent")
_KEY_ID = "key_"
_VISIBLE = re.compile(r"[\x20-\x7e]*")
_INVISIBLE = re.compile(r"[^\x20-\x7e]")
_MAX_USER_AGENT = 300
_SHOWN_PREFIXES = ("x-", "openai-", "ratelimit")
_SHOWN = frozenset({"cache-control", "retry-after", "retry-after-ms", "idempotent-replayed"})
_OWN = frozenset({"x-process-time", "x-content-type-options", "x-frame-options"})


def request_metadata(headers: CIMultiDictProxy[str], wants_credential: bool) -> list[tuple[str, str | bytes]]:
    """The metadata of a call: the credential, Idempotency-Key and traceparent; where no credential is wanted (sign-in),
    the User-Agent as `x-user-agent`, for the list of sessions.

    An API key in `x-api-key` is sent on as a bearer token. Raises `CredentialMissing` where one is wanted,
    `CredentialInvalid` where what came has characters that no credential has, `InvalidRequest` for other headers.
    """
    credential = _credential(headers)
    if credential is None and wants_credential:
        raise CredentialMissing()
    metadata = _metadata(headers, credential)
    if not wants_credential and "User-Agent" in headers:
        metadata.append(("x-user-agent", _INVISIBLE.sub("?", headers["User-Agent"][:_MAX_USER_AGENT])))
    return metadata


def pair_metadata(headers: CIMultiDictProxy[str], key_id: str, secret: str) -> list[tuple[str, str | bytes]]:
    """The same for a key that is given by its id and its secret, sent on as `Bearer ID:SECRET`; the server refuses a
    secret of another key."""
    if ":" in key_id or not key_id.startswith(_KEY_ID):
        raise CredentialInvalid()
    return _metadata(headers, f"{key_id}:{secret}")


def has_credential(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a request carries anything that may be a credential."""
    return _credential(headers) is not None


def _metadata(headers: CIMultiDictProxy[str], credential: str | None) -> list[tuple[str, str | bytes]]:
    metadata: list[tuple[str, str | bytes]] = []
    if credential is not None:
        if not _VISIBLE.fullmatch(credential):
            raise CredentialInvalid()
        metadata.append(("authorization", f"Bearer {credential}"))
    for name in _FORWARDED:
        value = headers.get(name)
        if value is not None:
            if not _VISIBLE.fullmatch(value):
                raise InvalidRequest(f"The header {name} holds characters outside visible ASCII.", field=name)
            metadata.append((name.lower(), value))
    return metadata


def show_metadata(metadata: Metadata, headers: CIMultiDict[str]) -> None:
    """Adds what clients may see of a reply's metadata to `headers`. The server's `x-request-id` wins over ours."""
    for name, value in metadata:
        if isinstance(value, bytes) or name in _OWN or name.endswith("-bin"):
            continue
        if (name in _SHOWN or name.startswith(_SHOWN_PREFIXES)) and _VISIBLE.fullmatch(value):
            headers[name] = value


def _credential(headers: CIMultiDictProxy[str]) -> str | None:
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
    return headers.get("x-api-key", "").strip() or None
