"""The provider double, running."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from bench.child import read_line, running
from bench.native import program


@contextmanager
def provider_double(
    paces: Sequence[str], *, core: int, log: Path, tokens: int = 1000, seconds: int = 600
) -> Iterator[list[int]]:
    """Yields one port for each pace: `paced=MICROSECONDS`, `robin` or `burst`, as bench/double/connection.h tells them.

    `tokens` is the longest answer, `seconds` when the double ends at the latest.
    Raises CompilerError, ProgramFailed.
    """
    options = ["--tokens", str(tokens), "--seconds", str(seconds), "--parent", str(os.getpid())]
    with log.open("ab") as errors, running([program("double"), *options, *paces], core=core, log=errors) as process:
        yield [int(port) for port in json.loads(read_line(process, log))["ports"]]


def stats(port: int) -> dict[str, int]:
    """What the double emitted so far: connections, requests, streams, prompt_tokens, completion_tokens, events."""
    with urlopen(f"http://127.0.0.1:{port}/stats", timeout=5) as answer:
        counted: dict[str, int] = json.load(answer)
    return counted
