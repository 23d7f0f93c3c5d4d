"""A configuration file is right to the last key, or is refused by file, line and key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.models import config_file, known
from server.models.config_errors import ConfigFileError
from server.models.config_file import ModelConfig
from server.models.entries import ModelEntry, PriceEntry, ProviderEntry
from server.models.known import NOTHING, Known

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PROVIDER = """[[providers]]
name = "mock"
kind = "openai"
base_url = "http://127.0.0.1:9100/v1/"
api_key = "sk-1"
"""
MODEL = """
[[models]]
name = "m"
provider = "mock"
input = "0.15"
output = "0.60"
"""


def parse(text: str, environment: dict[str, str] | None = None, about: Known = NOTHING) -> ModelConfig:
    """The text, where of every model the same is known."""
    return config_file.parse(text, "tollbridge.toml", environment or {}, lambda _name: about)


def test_the_smallest_file_has_every_default() -> None:
    config = parse(PROVIDER + MODEL)

    assert config.providers == [ProviderEntry("mock", "openai", "http://127.0.0.1:9100/v1", "sk-1")]
    price = PriceEntry(150_000_000, 150_000_000, 150_000_000, 600_000_000, 600_000_000)
    assert config.models == [ModelEntry("m", "mock", "m", 32_768, 32_768, price)]


def test_everything_can_be_said() -> None:
    text = (
        PROVIDER
        + MODEL
        + (
            'cache_read = "0.075"\ncache_write = "0.3"\nreasoning = "0.7"\ncontext = 1000\nmax_output = 500\n'
            'upstream = "org/other"\ntokenizer = "cl100k_base"\nreasoning_model = true\n'
            'max_tokens_field = "max_tokens"\n'
            "image_max_tokens = 10\naudio_second_max_tokens = 20\nfile_max_tokens = 30\nstream_usage = false\n"
        )
    )

    model = parse(text).models[0]

    price = PriceEntry(150_000_000, 75_000_000, 300_000_000, 600_000_000, 700_000_000)
    assert model == ModelEntry(
        *("m", "mock", "org/other", 1000, 500, price, False, "cl100k_base", True, "max_tokens", 10, 20, 30, False)
    )


def test_a_key_can_come_from_the_environment() -> None:
    text = PROVIDER.replace('api_key = "sk-1"', 'api_key_env = "MOCK_KEY"')

    assert parse(text, {"MOCK_KEY": "sk-2"}).providers[0].api_key == "sk-2"


def test_a_provider_may_need_no_key() -> None:
    assert parse(PROVIDER.replace('api_key = "sk-1"\n', "")).providers[0].api_key == ""


def test_what_is_known_fills_what_is_left_out() -> None:
    bare = PROVIDER + '[[models]]\nname = "m"\nprovider = "mock"\n'
    about = Known(128_000, 150, 75, None, 600)

    model = parse(bare, about=about).models[0]

    assert (model.context_tokens, model.max_output_tokens) == (128_000, 128_000)
    assert model.price == PriceEntry(150, 75, 150, 600, 600)
    assert parse(bare).models[0].price is None
    assert parse(PROVIDER + MODEL, about=about).models[0].price == PriceEntry(
        150_000_000, 150_000_000, 150_000_000, 600_000_000, 600_000_000
    )


def test_a_free_model_has_no_price() -> None:
    model = parse(PROVIDER + '[[models]]\nname = "m"\nprovider = "mock"\nfree = true\ncontext = 10\n').models[0]

    assert (model.free, model.price) == (True, None)


def table(key: str, value: str, *, base: str = MODEL) -> str:
    """The smallest file with one key of its last table set to a value."""
    lines = [line for line in base.splitlines() if not line.startswith(f"{key} ")]
    return PROVIDER + "\n".join(lines) + f"\n{key} = {value}\n"


@pytest.mark.parametrize(
    ("text", "line", "key", "reason"),
    [
        ("[[providers]\n", 1, "", "no valid TOML"),
        ("a = 1\nb = \n", 2, "", "no valid TOML"),
        ("a.b = 1\n", 1, "a", "unknown key"),
        (PROVIDER + "[server]\n", 6, "server", "unknown key"),
        ("providers = 1\n", 1, "providers", "[[providers]]"),
        ("[providers]\nname = 'x'\n", 1, "providers", "[[providers]]"),
        ("[[providers]]\n", 1, "providers[0].name", "is required"),
        (PROVIDER.replace("kind", "kin"), 3, "providers[0].kin", "unknown key"),
        (PROVIDER.replace('"openai"', '"closed"'), 3, "providers[0].kind", "one of openai"),
        (PROVIDER.replace('"openai"', "7"), 3, "providers[0].kind", "text"),
        (PROVIDER.replace("http://127.0.0.1:9100/v1/", "ftp://x"), 4, "providers[0].base_url", "http"),
        (PROVIDER.replace("http://127.0.0.1:9100/v1/", "http://u:p@x/v1"), 4, "providers[0].base_url", "user"),
        (PROVIDER.replace("http://127.0.0.1:9100/v1/", "http://x:99999"), 4, "providers[0].base_url", "URL"),
        (PROVIDER.replace("http://127.0.0.1:9100/v1/", "http://x/v1?k=1"), 4, "providers[0].base_url", "query"),
        (PROVIDER.replace("sk-1", "sk 1"), 5, "providers[0].api_key", "characters"),
        (PROVIDER + 'api_key_env = "X"\n', 6, "providers[0].api_key_env", "one of them"),
        (PROVIDER.replace("api_key", "api_key_env"), 5, "providers[0].api_key_env", "sk-1 is not set"),
        (PROVIDER + PROVIDER, 7, "providers[1].name", "twice"),
        (PROVIDER + MODEL + MODEL, 14, "models[1].name", "twice"),
        (table("provider", '"other"'), 11, "models[0].provider", "no provider is called 'other'"),
        (table("input", "0.15"), 11, "models[0].input", "in quotes"),
        (table("input", '"-1"'), 11, "models[0].input", "plain decimal"),
        (table("input", '"1e3"'), 11, "models[0].input", "plain decimal"),
        (table("input", '"NaN"'), 11, "models[0].input", "plain decimal"),
        (table("output", '"0.1234567891"'), 11, "models[0].output", "9 digits"),
        (table("output", '"1000001"'), 11, "models[0].output", "at most 1000000"),
        (table("context", "0"), 12, "models[0].context", "whole number"),
        (table("context", "true"), 12, "models[0].context", "whole number"),
        (table("context", '"8k"'), 12, "models[0].context", "whole number"),
        (table("max_output", "40000"), 12, "models[0].max_output", "more than the context"),
        (table("free", "true"), 10, "models[0].input", "has no price"),
        (table("free", '"yes"'), 12, "models[0].free", "true or false"),
        (table("tokenizer", '"words"'), 12, "models[0].tokenizer", "one of"),
        (table("price", '"1"'), 12, "models[0].price", "unknown key"),
        (table("name", '""'), 11, "models[0].name", "not empty"),
        (PROVIDER + MODEL.replace('output = "0.60"\n', ""), 7, "models[0].output", "is needed"),
    ],
)
def test_a_wrong_file_is_refused_by_line_and_key(text: str, line: int | None, key: str, reason: str) -> None:
    with pytest.raises(ConfigFileError) as refusal:
        parse(text)

    assert (refusal.value.key, refusal.value.line) == (key, line)
    assert reason in str(refusal.value)
    assert str(refusal.value).startswith("tollbridge.toml" if line is None else f"tollbridge.toml:{line}: ")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"name = '\xe9'")

    for name in ("missing.toml", "latin"):
        with pytest.raises(ConfigFileError, match=name):
            config_file.read(tmp_path / name, {}, lambda _name: NOTHING)


def test_a_file_that_is_no_utf_8_is_named_by_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# fine\n[[providers]]\nname = 'caf\xe9'\n")
    with pytest.raises(ConfigFileError) as refusal:
        config_file.read(path, {}, lambda _name: NOTHING)
    assert (refusal.value.line, refusal.value.key) == (3, "name")
    assert "0xe9 is not UTF-8" in str(refusal.value)


def test_a_file_is_read_as_its_text_says(tmp_path: Path) -> None:
    path = tmp_path / "tollbridge.toml"
    path.write_text(PROVIDER + MODEL)

    assert config_file.read(path, {}, lambda _name: NOTHING) == parse(PROVIDER + MODEL)


@pytest.mark.parametrize(
    ("name", "tokenizer", "reasoning"),
    [
        ("gpt-4o-mini", "o200k_base", False),
        ("openai/gpt-4.1-nano", "o200k_base", False),
        ("gpt-5-mini", "o200k_base", True),
        ("o1", "o200k_base", True),
        ("o3-mini", "o200k_base", True),
        ("o4-mini-high", "o200k_base", True),
        ("gpt-4", "cl100k_base", False),
        ("gpt-4-turbo", "cl100k_base", False),
        ("gpt-3.5-turbo", "cl100k_base", False),
        ("claude-sonnet-4-5", None, False),
        ("o10", None, False),
        ("llama-3", None, False),
    ],
)
def test_names_tell_tokenizers(name: str, tokenizer: str | None, reasoning: bool) -> None:
    assert (known.tokenizer_of(name), known.is_reasoning(name)) == (tokenizer, reasoning)


def test_the_snapshot_knows_common_models_and_leaves_tiers_out() -> None:
    assert known.look_up("gpt-4o-mini", NOW) == Known(128_000, 150_000_000, 75_000_000, None, 600_000_000)
    assert known.look_up("no-such-model", NOW) == NOTHING
    tiered = known.look_up("gemini-2.5-pro", NOW)
    assert (tiered.input, tiered.output) == (None, None)
