"""A caller's key: what is read of it, and the secrets that are made of it. The key itself is never stored.

What is stored is a digest to find the call by, the fingerprint of its request and its sealed outcome. All three hang on
the deployment's pepper and on the key, so that the database alone tells nobody what was asked or answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from server.foundation.secrets import Pepper, Sealer
from server.rpc.idempotency import errors

METADATA_KEY: Final = "idempotency-key"
MOST_CHARACTERS: Final = 255

_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_BYTES_ON_LOOP: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class CallerKey:
    """A key in its scope: one organization's calls of one method."""

    org_id: UUID
    method: str
    digest: bytes
    """HMAC-SHA-256 of scope and key."""
    request_key: bytes
    """Of the fingerprint's HMAC."""
    sealer: Sealer
    """AES-256-GCM, for the outcome."""

    def fingerprint(self, request_digest: bytes) -> bytes:
        """What is stored of a request, of its SHA-256."""
        return hmac.digest(self.request_key, request_digest, hashlib.sha256)

    @property
    def place(self) -> str:
        """Where the sealed outcome lies, which it is bound to."""
        return f"idempotent_call/{self.org_id}/{self.method}/{self.digest.hex()}"


def read(metadata: Mapping[str, str | bytes]) -> str:
    """The key as the caller wrote it, without surrounding spaces. Raises `InvalidArgumentError`, naming the header."""
    value = metadata[METADATA_KEY]
    if not isinstance(value, str):
        raise errors.malformed("must stand there once")
    if not _PRINTABLE.fullmatch(value):
        raise errors.malformed("must consist of printable ASCII characters")
    key = value.strip()
    if not key:
        raise errors.malformed("must not be empty; leave the header out to call without one")
    if len(key) > MOST_CHARACTERS:
        raise errors.malformed(f"must have at most {MOST_CHARACTERS} characters")
    return key


def derive(pepper: Pepper, org_id: UUID, method: str, key: str) -> CallerKey:
    """The secrets of a key (HKDF-SHA-256, RFC 5869: the pepper as salt, the key as input, the scope as info)."""
    scope = org_id.bytes + method.encode() + b"\0"
    derived = HKDF(algorithm=hashes.SHA256(), length=64, salt=pepper.key, info=scope).derive(key.encode())
    return CallerKey(org_id, method, pepper.digest(scope + key.encode()), derived[:32], Sealer(derived[32:]))


async def digest_of(request: Message) -> bytes:
    """SHA-256 of the raw body, where the method takes one, else of the message's deterministic serialization: so REST
    and gRPC calls of one method are the same call."""
    size = len(request.data) if isinstance(request, HttpBody) else request.ByteSize()
    return _digest(request) if size <= _BYTES_ON_LOOP else await asyncio.to_thread(_digest, request)


def _digest(request: Message) -> bytes:
    body = request.data if isinstance(request, HttpBody) else request.SerializeToString(deterministic=True)
    return hashlib.sha256(body).digest()
