"""What an organization can call, at what price, and how fast a change is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from server.foundation.ids import uuid7
from server.foundation.secrets import Sealer
from server.models.catalogue import INVALIDATION_KIND, Catalogue
from server.models.entries import ModelEntry, PriceEntry, ProviderEntry
from server.models.errors import ModelNotFoundError, ModelUnpricedError
from server.models.loader import apply_config
from server.models.prices import Price
from server.models.service import ModelService
from server.storage.database import Database, Role
from tests.billing.books import MovableClock, context_of
from tests.support.databases import TestDatabase
from tollbridge.models.v1.model_service_pb2 import GetModelRequest, ListModelsRequest

SEALER = Sealer(b"s" * 32)
ALL: frozenset[str] = frozenset()
NOW = datetime(2026, 11, 21, tzinfo=UTC)
PROVIDER = ProviderEntry("mock", "openai", "http://127.0.0.1:9/v1", "sk-secret")
CHEAP = PriceEntry(100, 50, 100, 400, 400)
MODELS = [
    ModelEntry("b", "mock", "b-upstream", 1000, 500, CHEAP, tokenizer="o200k_base"),
    ModelEntry("a", "mock", "a", 2000, 2000, None, free=True),
    ModelEntry("unpriced", "mock", "unpriced", 2000, 2000, None),
]


@pytest.fixture
def clock() -> MovableClock:
    """A clock that stands at `NOW`."""
    made = MovableClock()
    made.time = NOW
    return made


@pytest.fixture
async def org_id(database: TestDatabase) -> UUID:
    """An organization."""
    return await make_organization(database)


async def make_organization(database: TestDatabase) -> UUID:
    """A row of its own."""
    org_id = uuid7()
    sql = "INSERT INTO organization (id, name, create_time, update_time) VALUES ($1, 'Acme', $2, $2)"
    await as_owner(database, sql, org_id, NOW)
    return org_id


async def as_owner(database: TestDatabase, sql: str, *arguments: object) -> None:
    """A statement of the superuser's."""
    connection = await asyncpg.connect(database.owner_url)
    await connection.execute(sql, *arguments)
    await connection.close()


async def apply(pools: Database, models: list[ModelEntry], now: datetime = NOW) -> None:
    """A configuration, as the keeper applies it."""
    async with pools.privileged(Role.KEEPER) as transaction:
        await apply_config(transaction, SEALER, [PROVIDER], models, now)


async def test_models_come_in_the_configured_order_with_their_provider(
    pools: Database, clock: MovableClock, org_id: UUID, database: TestDatabase
) -> None:
    await apply(pools, MODELS)
    catalogue = Catalogue(pools, SEALER, clock)

    visible = await catalogue.visible(org_id, ALL)
    model = await catalogue.find("b", org_id, ALL)

    assert [row.id for row in visible] == ["b", "a"]
    assert (model.provider.api_key, model.provider.base_url, model.upstream) == (
        "sk-secret",
        PROVIDER.base_url,
        "b-upstream",
    )
    assert "sk-secret" not in repr(model)
    assert (model.context_tokens, model.max_output_tokens, model.tokenizer) == (1000, 500, "o200k_base")
    assert model.price is not None
    assert (model.price.input, model.price.cache_read, model.price.output) == (100, 50, 400)
    assert catalogue.cached("b", org_id, ALL) == model
    connection = await asyncpg.connect(database.owner_url)
    stored = await connection.fetchval("SELECT sealed_credential FROM provider")
    await connection.close()
    assert b"sk-secret" not in stored


async def test_what_cannot_be_called_says_why(pools: Database, clock: MovableClock, org_id: UUID) -> None:
    await apply(pools, MODELS)
    catalogue = Catalogue(pools, SEALER, clock)

    with pytest.raises(ModelNotFoundError) as unknown:
        await catalogue.find("nothing", org_id, ALL)
    with pytest.raises(ModelNotFoundError) as forbidden:
        await catalogue.find("b", org_id, frozenset({"a"}))
    with pytest.raises(ModelUnpricedError):
        await catalogue.find("unpriced", org_id, ALL)

    assert unknown.value.public.replace("nothing", "b") == forbidden.value.public
    assert catalogue.cached("b", org_id, frozenset({"a"})) is None
    assert catalogue.cached("unpriced", org_id, ALL) is None
    assert [row.id for row in await catalogue.visible(org_id, frozenset({"a", "unpriced"}))] == ["a"]


async def test_a_price_is_a_new_version_only_where_it_changed(
    pools: Database, clock: MovableClock, org_id: UUID
) -> None:
    async def version_at(now: datetime) -> tuple[int, int]:
        clock.time = now
        price = (await Catalogue(pools, SEALER, clock).find("b", org_id, ALL)).price
        assert price is not None
        return price.version, price.input

    await apply(pools, MODELS)
    await apply(pools, MODELS, NOW + timedelta(days=1))
    unchanged = await version_at(NOW + timedelta(days=1))
    dearer = [replace(MODELS[0], price=replace(CHEAP, input=101)), *MODELS[1:]]
    await apply(pools, dearer, NOW + timedelta(days=2))

    assert unchanged == await version_at(NOW)
    changed = await version_at(NOW + timedelta(days=2))
    assert (changed[0] > unchanged[0], changed[1]) == (True, 101)
    assert await version_at(NOW + timedelta(days=1)) == unchanged
    await apply(pools, [replace(MODELS[0], price=None), *MODELS[1:]], NOW + timedelta(days=3))
    clock.time = NOW + timedelta(days=3)
    with pytest.raises(ModelUnpricedError):
        await Catalogue(pools, SEALER, clock).find("b", org_id, ALL)
    await apply(pools, MODELS, NOW + timedelta(days=4))
    assert (await version_at(NOW + timedelta(days=4)))[1] == 100


async def test_what_the_configuration_no_longer_names_is_disabled(
    pools: Database, clock: MovableClock, org_id: UUID
) -> None:
    await apply(pools, MODELS)
    await apply(pools, MODELS[1:], NOW + timedelta(days=1))
    without = [row.id for row in await Catalogue(pools, SEALER, clock).visible(org_id, ALL)]
    await apply(pools, MODELS, NOW + timedelta(days=2))
    again = await Catalogue(pools, SEALER, clock).visible(org_id, ALL)

    assert without == ["a"]
    assert [(row.id, row.create_time) for row in again] == [("b", NOW), ("a", NOW)]


async def test_a_change_is_seen_when_it_is_announced_and_after_five_seconds_anyway(
    pools: Database, clock: MovableClock, org_id: UUID, database: TestDatabase
) -> None:
    await apply(pools, MODELS)
    catalogue = Catalogue(pools, SEALER, clock)
    await catalogue.find("b", org_id, ALL)
    await apply(pools, MODELS[1:], NOW)

    stale = catalogue.cached("b", org_id, ALL)
    clock.elapsed = 5.1
    expired = catalogue.cached("b", org_id, ALL)
    with pytest.raises(ModelNotFoundError):
        await catalogue.find("b", org_id, ALL)
    await apply(pools, MODELS, NOW)
    catalogue.forget("configuration")
    found = await catalogue.find("b", org_id, ALL)

    assert stale is not None
    assert expired is None
    assert found.id == "b"
    connection = await asyncpg.connect(database.owner_url)
    kinds = {row["kind"] for row in await connection.fetch("SELECT kind FROM invalidation")}
    await connection.close()
    assert kinds == {INVALIDATION_KIND}


async def test_an_agreed_price_is_one_organizations_alone(
    pools: Database, clock: MovableClock, org_id: UUID, database: TestDatabase
) -> None:
    await apply(pools, MODELS)
    other = await make_organization(database)
    await as_owner(
        database,
        "INSERT INTO organization_price (org_id, model_id, input, cache_read, cache_write, output, reasoning,"
        " effective_time) VALUES ($1, 'b', 1, 2, 3, 4, 5, $2), ($1, 'b', 9, 9, 9, 9, 9, $3)",
        org_id,
        NOW,
        NOW + timedelta(days=1),
    )
    await as_owner(
        database,
        "INSERT INTO price_markup (model_id, parts_per_million, effective_time)"
        " VALUES (NULL, 500000, $1), ('b', 100000, $1)",
        NOW,
    )
    catalogue = Catalogue(pools, SEALER, clock)

    agreed = (await catalogue.find("b", org_id, ALL)).price
    listed = (await catalogue.find("b", other, ALL)).price

    assert agreed is not None
    assert listed is not None
    assert agreed == Price(agreed.version, 1, 2, 3, 4, 5)
    assert listed == Price(listed.version, 110, 55, 110, 440, 440, listed.markup_version)
    assert listed.markup_version is not None
    cached = catalogue.cached("b", org_id, ALL)
    assert cached is not None
    assert cached.price == agreed


async def test_the_list_of_models_has_openais_shape(pools: Database, clock: MovableClock, org_id: UUID) -> None:
    await apply(pools, MODELS)
    service = ModelService(Catalogue(pools, SEALER, clock))

    listed = await service.list_models(ListModelsRequest(), context_of(org_id))
    one = await service.get_model(GetModelRequest(id="b"), context_of(org_id))

    assert (listed.object, [row.id for row in listed.data]) == ("list", ["b", "a"])
    assert (one.object, one.created, one.owned_by) == ("model", int(NOW.timestamp()), "mock")
    assert (one.price.input, one.price.output, one.price.currency) == ("0.0000001", "0.0000004", "USD")
    assert not listed.data[1].HasField("price")
    with pytest.raises(ModelNotFoundError):
        await service.get_model(GetModelRequest(id="c"), context_of(org_id))


async def test_only_the_keeper_writes_the_catalogue(pools: Database) -> None:
    for role in (Role.APP, Role.LOOKUP, Role.METER, Role.PLATFORM):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with pools.statement(role) as statement:
                await statement.execute("UPDATE model SET free = true")
