"""Profiles in the configuration file, in the catalogue, and side by side with those that administrators make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.foundation.ids import uuid7
from server.foundation.secrets import Sealer
from server.models import config_file, profile_store
from server.models.catalogue import Catalogue
from server.models.config_errors import ConfigFileError
from server.models.config_file import ModelConfig
from server.models.entries import ModelEntry, PriceEntry, ProfileEntry, ProviderEntry
from server.models.errors import ModelNotFoundError
from server.models.known import NOTHING
from server.models.loader import NameTakenError, apply_config
from server.models.models import to_proto
from server.models.profiles import Profile
from server.storage.database import Database, Role
from tests.billing.books import MovableClock

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SEALER = Sealer(b"s" * 32)
ALL: frozenset[str] = frozenset()
PROVIDER = ProviderEntry("mock", "openai", "http://127.0.0.1:9/v1")
MODEL = ModelEntry("m", "mock", "m", 1000, 500, PriceEntry(1, 1, 1, 2, 2))
PRO = ProfileEntry("pro", "m", "I am Pro.", "For everyone.", "lynxa", 0.5, 100)
FILE = """[[providers]]
name = "mock"
kind = "openai"
base_url = "http://127.0.0.1:9100/v1/"
[[models]]
name = "m"
provider = "mock"
free = true
[[profiles]]
name = "pro"
model = "m"
prompt = '''
I am Pro.
Nothing else.'''
"""


def parse(text: str) -> ModelConfig:
    return config_file.parse(text, "tollbridge.toml", {}, lambda _name: NOTHING, ("embedded",))


async def apply(pools: Database, *profiles: ProfileEntry, models: tuple[ModelEntry, ...] = (MODEL,)) -> None:
    async with pools.privileged(Role.KEEPER) as transaction:
        await apply_config(transaction, SEALER, [PROVIDER], models, NOW, profiles)


async def stored(pools: Database) -> list[Profile]:
    async with pools.shared() as transaction:
        return await profile_store.list_all(transaction)


async def make(pools: Database, name: str) -> None:
    """As an administrator does it."""
    async with pools.privileged(Role.PLATFORM) as transaction:
        await profile_store.insert(transaction, Profile(name, "m", "made", NOW, NOW))


def test_a_file_declares_profiles() -> None:
    more = (
        '\n[[profiles]]\nname = "e"\nmodel = "embedded"\nprompt = "x"\ntemperature = 1\nmax_output = 5\nowned_by = "o"'
    )
    config = parse(FILE + more)
    assert config.profiles[0] == ProfileEntry("pro", "m", "I am Pro.\nNothing else.")
    assert config.profiles[1] == ProfileEntry("e", "embedded", "x", "", "o", 1.0, 5)


@pytest.mark.parametrize(
    ("wrong", "place", "reason"),
    [
        ('name = "m"\nmodel = "m"\nprompt = "x"', "profiles[1].name", "is the name of a model already"),
        ('name = "pro"\nmodel = "m"\nprompt = "x"', "profiles[1].name", "is declared twice"),
        ('name = "a b"\nmodel = "m"\nprompt = "x"', "profiles[1].name", "must be 1 to 64 letters"),
        ('model = "m"\nprompt = "x"', "profiles[1].name", "is required"),
        ('name = "x"\nmodel = "pro"\nprompt = "x"', "profiles[1].model", "is a profile itself"),
        ('name = "x"\nmodel = "x"\nprompt = "x"', "profiles[1].model", "is a profile itself"),
        ('name = "x"\nmodel = "gone"\nprompt = "x"', "profiles[1].model", "no model is called 'gone'"),
        ('name = "x"\nmodel = "m"', "profiles[1].prompt", "is required"),
        ('name = "x"\nmodel = "m"\nprompt = " "', "profiles[1].prompt", "must be a text that is not empty"),
        ('name = "x"\nmodel = "m"\nprompt = 3', "profiles[1].prompt", "must be a text that is not empty"),
        ('name = "x"\nmodel = "m"\nprompt = "x"\ntemperature = 2.1', "profiles[1].temperature", "from 0 to 2"),
        ('name = "x"\nmodel = "m"\nprompt = "x"\nmax_output = 0', "profiles[1].max_output", "whole number"),
        ('name = "x"\nmodel = "m"\nprompt = "x"\nPrompt = "y"', "profiles[1].Prompt", "unknown key"),
    ],
)
def test_errors_name_line_and_key(wrong: str, place: str, reason: str) -> None:
    with pytest.raises(ConfigFileError) as caught:
        parse(f"{FILE}[[profiles]]\n{wrong}\n")
    assert f": {place}: " in str(caught.value)
    assert reason in str(caught.value)
    first = FILE.count("\n") + 1
    last = first + wrong.count("\n") + 1
    assert caught.value.line is not None
    assert first <= caught.value.line <= last


def test_a_model_and_a_profile_of_one_name_are_refused() -> None:
    other = '[[models]]\nname = "pro"\nprovider = "mock"\nfree = true\n'
    with pytest.raises(ConfigFileError, match=r"profiles\[0\]\.name: 'pro' is the name of a model already"):
        parse(FILE + other)


async def test_a_profile_can_be_called_like_a_model(pools: Database) -> None:
    await apply(pools, PRO)
    catalogue, org_id = Catalogue(pools, SEALER, MovableClock()), uuid7()
    found = await catalogue.find("pro", org_id, frozenset({"pro"}))
    assert (found.id, found.name, found.max_output_tokens) == ("m", "pro", 100)
    assert found.price is not None
    assert "I am Pro" not in repr(found)
    shown = to_proto(found)
    assert (shown.id, shown.owned_by, shown.profile, shown.description) == ("pro", "lynxa", True, "For everyone.")
    assert "I am Pro" not in str(shown)
    assert [model.name for model in await catalogue.visible(org_id, ALL)] == ["m", "pro"]
    assert [model.name for model in await catalogue.visible(org_id, frozenset({"pro"}))] == ["pro"]
    with pytest.raises(ModelNotFoundError):
        await catalogue.find("pro", org_id, frozenset({"m"}))


async def test_the_file_is_the_only_word_on_its_profiles(pools: Database) -> None:
    await apply(pools, PRO)
    await make(pools, "made")
    before = await stored(pools)
    await apply(pools, PRO)
    assert await stored(pools) == before
    await apply(pools, ProfileEntry("pro", "m", "Another."))
    (made, changed) = await stored(pools)
    assert (changed.prompt, changed.version, changed.temperature, changed.configured) == ("Another.", 2, None, True)
    await apply(pools)
    assert await stored(pools) == [made]


@pytest.mark.parametrize("section", ["models", "profiles"])
async def test_a_name_that_an_administrator_took_is_refused(pools: Database, section: str) -> None:
    await apply(pools)
    await make(pools, "made")
    models = (MODEL, ModelEntry("made", "mock", "m", 1, 1, None)) if section == "models" else (MODEL,)
    profiles = (ProfileEntry("made", "m", "x"),) if section == "profiles" else ()
    with pytest.raises(NameTakenError) as caught:
        await apply(pools, *profiles, models=models)
    assert (caught.value.section, caught.value.name) == (section, "made")
    assert [profile.prompt for profile in await stored(pools)] == ["made"]


async def test_a_profile_goes_with_its_model(pools: Database) -> None:
    await apply(pools)
    await make(pools, "made")
    other = ModelEntry("other", "mock", "m", 1000, 500, None, free=True)
    await apply(pools, models=(other,))
    clock = MovableClock()
    clock.time = NOW + timedelta(seconds=1)
    catalogue = Catalogue(pools, SEALER, clock)
    assert [model.name for model in await catalogue.visible(uuid7(), ALL)] == ["other"]
    with pytest.raises(ModelNotFoundError):
        await catalogue.find("made", uuid7(), ALL)


def test_a_name_taken_is_told_by_line_and_key(tmp_path: Path) -> None:
    path = tmp_path / "tollbridge.toml"
    path.write_text(FILE)
    error = config_file.at_name(path, "profiles", "pro", "is taken")
    assert str(error) == f"{path}:{FILE.splitlines().index('[[profiles]]') + 2}: profiles[0].name: is taken"
