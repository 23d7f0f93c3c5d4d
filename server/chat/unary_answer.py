"""A unary answer: looked at, never changed."""

from __future__ import annotations

import msgspec

from server.chat.errors import ProviderFailedError
from server.chat.providers.failures import in_band
from server.chat.providers.port import ProviderAnswer
from server.chat.tally import Tally
from server.models.models import Provider


class _Answer(msgspec.Struct, gc=False):
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    choices: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    usage: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(_Answer).decode


async def read_answer(provider: Provider, answer: ProviderAnswer, tally: Tally) -> bytes:
    """The provider's JSON, byte for byte, once it is whole. Raises errors of `server.chat.errors`."""
    data = await answer.read_whole()
    try:
        read = _decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProviderFailedError(provider.name, f"the answer is no JSON object: {error}") from error
    failure = _bytes(read.error)
    if failure is not None:
        raise in_band(provider, failure)
    if read.choices is msgspec.UNSET:
        raise ProviderFailedError(provider.name, "the answer has no choices")
    tally.set_answer(data, _text(read.id), _bytes(read.usage))
    return data


def _bytes(raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
    if raw is msgspec.UNSET or bytes(raw) == b"null":
        return None
    return bytes(raw)


def _text(raw: msgspec.Raw | msgspec.UnsetType) -> str:
    value = None if raw is msgspec.UNSET else msgspec.json.decode(raw)
    return value if isinstance(value, str) else ""
