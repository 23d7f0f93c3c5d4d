"""A unary answer: looked at, and never changed but for the name of a profile."""

from __future__ import annotations

import msgspec
import orjson

from server.chat import lenient_json
from server.chat.answer_name import AnswerName
from server.chat.errors import ProviderFailedError
from server.chat.lenient_json import mended
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


async def read_answer(provider: Provider, answer: ProviderAnswer, tally: Tally, name: AnswerName) -> bytes:
    """The provider's JSON, byte for byte but for the name, once it is whole. Raises errors of `server.chat.errors`."""
    data = await answer.read_whole()
    try:
        read = _read(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProviderFailedError(provider.name, f"the answer is no JSON object: {error}") from error
    failure = _bytes(read.error)
    if failure is not None:
        raise in_band(provider, failure)
    if read.choices is msgspec.UNSET:
        raise ProviderFailedError(provider.name, "the answer has no choices")
    data = name.write(data)
    tally.set_answer(data, _text(read.id), _bytes(read.usage))
    return data


def _read(data: bytes) -> _Answer:
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return _decode(mended(data))


def _bytes(raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
    if raw is msgspec.UNSET or bytes(raw) == b"null":
        return None
    return bytes(raw)


def _text(raw: msgspec.Raw | msgspec.UnsetType) -> str:
    try:
        value = lenient_json.read(_bytes(raw) or b"null")
    except orjson.JSONDecodeError:
        return ""
    return value if isinstance(value, str) else ""
