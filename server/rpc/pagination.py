"""Page tokens: opaque, signed, and bound to the list and filters that they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from google.protobuf.message import DecodeError

from server.foundation.secrets import Pepper
from server.rpc.context import CallContext
from server.rpc.errors import InvalidPageTokenError
from tollbridge.paging.v1.page_token_pb2 import PageToken

DEFAULT_SIZE: Final = 100
MAX_SIZE: Final = 1000
_DIGEST_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a list is wanted."""

    size: int
    """Rows, already defaulted and capped."""
    after: tuple[str, ...] | None
    """Values of the ordering columns of the last row shown; None for the first page."""
    filters: bytes
    """Digest of the organization and filters, which the next token is bound to."""

    @property
    def after_id(self) -> UUID | None:
        """`after` of a list ordered by id alone. Raises `InvalidPageTokenError` where it is no id."""
        if self.after is None:
            return None
        try:
            (text,) = self.after
            return UUID(text)
        except ValueError as error:
            raise InvalidPageTokenError from error


class Paginator:
    """Reads and writes page tokens of one deployment."""

    def __init__(self, pepper: Pepper) -> None:
        self._pepper = pepper

    def open(
        self,
        context: CallContext,
        page_size: int,
        page_token: str,
        filters: Sequence[str] = (),
        default: int = DEFAULT_SIZE,
        cap: int = MAX_SIZE,
    ) -> Page:
        """The page that the request asks for. Raises `InvalidPageTokenError`."""
        size = min(page_size or default, cap)
        digest = self._filter_digest(context, filters)
        if not page_token:
            return Page(size, None, digest)
        token = self._decode(page_token)
        if token.method != context.method or token.filter_digest != digest:
            raise InvalidPageTokenError
        return Page(size, tuple(token.after), digest)

    def next_token(self, context: CallContext, page: Page, after: Sequence[str]) -> str:
        """The token for the rows after the one with these ordering values."""
        token = PageToken(method=context.method, after=after, filter_digest=page.filters).SerializeToString()
        signature = self._pepper.digest(token)[:_DIGEST_BYTES]
        return base64.urlsafe_b64encode(signature + token).decode().rstrip("=")

    def _decode(self, text: str) -> PageToken:
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidPageTokenError from error
        signature, token = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        if signature != self._pepper.digest(token)[:_DIGEST_BYTES]:
            raise InvalidPageTokenError
        try:
            return PageToken.FromString(token)
        except DecodeError as error:
            raise InvalidPageTokenError from error

    @staticmethod
    def _filter_digest(context: CallContext, filters: Sequence[str]) -> bytes:
        digest = hashlib.sha256(context.principal.org_id.bytes)
        for text in filters:
            digest.update(b"%d:" % len(text.encode()) + text.encode())
        return digest.digest()[:_DIGEST_BYTES]
