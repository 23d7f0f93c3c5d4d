"""What a caller can say about one call, and the metadata that comes of it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict

from tollbridge_sdk.methods import Method

MetadataPair = tuple[str, str | bytes]
Metadata = Sequence[MetadataPair]

API_KEY_VARIABLE: Final = "TOLLBRIDGE_API_KEY"
IDEMPOTENCY_KEY: Final = "idempotency-key"
REQUEST_ID: Final = "x-request-id"


class CallOptions(TypedDict, total=False):
    """Options of every call, given as keywords."""

    timeout: float | None
    """Seconds that the call may take, repeats included; None: no limit. Default: the client's."""
    metadata: Metadata
    """Further metadata; names in lower case, values of names that end with `-bin` as bytes."""


class KeyedCallOptions(CallOptions, total=False):
    """Options of a call that changes something."""

    idempotency_key: str
    """The key by which the server knows the call again. Default: a new random one, the same for all repeats; for
    streams none, for with a key they are finished and paid for although their reader leaves."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for calls that say nothing else. Times are in seconds, None: no limit."""

    timeout: float | None = 60.0
    """Of calls that no model answers."""
    model_timeout: float | None = 600.0
    """Of chat calls, from the first byte sent to the last received."""
    metadata: Metadata = field(default=())
    """Sent with every call, before the call's own."""

    def timeout_of(self, method: Method, options: Mapping[str, Any]) -> float | None:
        """The call's own, else the default of such methods."""
        default = self.model_timeout if method.runs_model else self.timeout
        chosen: float | None = options.get("timeout", default)
        return chosen


def metadata_of(
    method: Method, defaults: Defaults, options: Mapping[str, Any], credential: str | None
) -> list[MetadataPair]:
    """All metadata of a call. `credential` is a key or an access token."""
    pairs: list[MetadataPair] = [*defaults.metadata, *options.get("metadata", ())]
    if credential and not method.anonymous:
        pairs.append(("authorization", f"Bearer {credential}"))
    key = options.get("idempotency_key") or (str(uuid.uuid4()) if method.keyed_by_itself else "")
    if key:
        pairs.append((IDEMPOTENCY_KEY, key))
    return pairs


def api_key_from(argument: str | None) -> str | None:
    """The argument, else TOLLBRIDGE_API_KEY of the environment, else None; surrounding spaces do not count."""
    given = argument if argument is not None else os.environ.get(API_KEY_VARIABLE, "")
    return given.strip() or None


def find(pairs: Metadata, name: str) -> str | bytes | None:
    """The last value of a name, or None."""
    return next((value for found, value in reversed(pairs) if found == name), None)
