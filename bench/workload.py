"""What is sent: chat bodies of many sizes, the same in every run."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

BODY_COUNT: Final = 50
SMALLEST_PROMPT: Final = 100
LARGEST_PROMPT: Final = 8_000
MODEL: Final = "gpt-4o-mini"
SEED: Final = 1848

COMMON_WORDS: Final = (
    "the a of to and in that it is was for on are with they be at one have this from had not word but what some we "
    "can out other were all your when up use how said each she which do their time if will way about many then them "
    "write would like so these her long make thing see him two has look more day could go come did number sound no "
    "most people my over know water than call first who may down side been now find"
)


def prompt(characters: int, source: random.Random) -> str:
    """Common words, `characters` long, give or take one word."""
    choices = COMMON_WORDS.split()
    words: list[str] = []
    length = 0
    while length < characters:
        word = source.choice(choices)
        words.append(word)
        length += len(word) + 1
    return " ".join(words)


def chat_bodies(*, stream: bool, max_tokens: int, model: str = MODEL, count: int = BODY_COUNT) -> list[str]:
    """`count` bodies whose prompts grow from SMALLEST_PROMPT to LARGEST_PROMPT characters, evenly in their logarithm.

    Streams ask for usage, as OpenAI's own clients do when somebody counts.
    """
    source = random.Random(SEED)  # noqa: S311  the same prompts each time, not secrets
    ratio = LARGEST_PROMPT / SMALLEST_PROMPT
    bodies = []
    for index in range(count):
        characters = round(SMALLEST_PROMPT * ratio ** (index / max(count - 1, 1)))
        messages = [{"role": "user", "content": prompt(characters, source)}]
        body: dict[str, object] = {"model": model, "messages": messages, "max_tokens": max_tokens}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        bodies.append(json.dumps(body))
    source.shuffle(bodies)
    return bodies


def write_lines(path: Path, lines: list[str]) -> Path:
    """Writes what the generators read: one key or body a line."""
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return path
