"""The config file: the README's example is read, and operations name every key."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial

from server.models import config_file, config_profiles, known
from tests.docs.checkout import CHECKOUT, README, blocks

OPERATIONS = CHECKOUT / "docs" / "operations.md"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def keys_of(table: str) -> set[str]:
    """The keys in the first column of a table, which stands beneath its own name as heading."""
    text = OPERATIONS.read_text("utf-8").partition(f"\n| `[[{table}]]` | Meaning |\n")[2].partition("\n\n")[0]
    return {key for row in text.splitlines() for key in re.findall(r"`(\w+)`", row.split(" | ")[0])}


def test_the_readmes_example_is_read() -> None:
    (example,) = [block.text for block in blocks(README) if block.language == "toml"]
    environment = {"OPENAI_API_KEY": "sk-test"}
    found = config_file.parse(example, "README.md", environment, partial(known.look_up, now=NOW))
    assert [(provider.name, provider.base_url) for provider in found.providers] == [
        ("openai", "https://api.openai.com/v1")
    ]
    assert [(model.name, model.provider) for model in found.models] == [("gpt-4o-mini", "openai")]
    assert [(profile.name, profile.model) for profile in found.profiles] == [("lynxa-pro", "gpt-4o-mini")]
    price = found.models[0].price
    assert price is not None
    assert (price.input, price.output) == (150_000_000, 600_000_000)


def test_operations_name_every_key() -> None:
    assert keys_of("providers") == set(config_file._PROVIDER_KEYS)
    assert keys_of("models") == set(config_file._MODEL_KEYS)
    assert keys_of("profiles") == set(config_profiles.PROFILE_KEYS)
