"""Histories of a key, a model or a profile have every call once, newest first, however sparse or dense they are."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from server.foundation.ids import first_uuid7, uuid7
from server.foundation.windows import BUCKET
from server.models.prices import TokenCounts
from server.usage import events, store
from server.usage.events import EventFilter
from server.usage.filtered_events import SLACK, spans
from server.usage.metering import settlement_arguments
from tests.billing.books import Books

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEYS = (uuid7(), uuid7(), None)
MODELS = ("gpt-4o-mini", "fast")
PROFILES = ("", "", "fast")
"""A profile may have a model's name, even the one of the model behind it."""


@dataclass(frozen=True, slots=True)
class Made:
    id: UUID
    time: datetime
    model: str
    profile: str
    key_id: UUID | None

    def fits(self, wanted: EventFilter) -> bool:
        start, end = wanted.span
        return (
            (start is None or self.time >= start)
            and (end is None or self.time < end)
            and wanted.model in ("", self.model, self.profile)
            and wanted.key_id in (None, self.key_id)
        )


async def make(books: Books, org_id: UUID, count: int, chance: random.Random) -> list[Made]:
    """Calls of some days, many of them within milliseconds of the edges of buckets and days."""
    made = []
    for number in range(count):
        days, buckets = chance.choice((0, 0, 0, 1, 9, 40)), chance.choice((0, 0, 1, 47, 48, 49))
        time = NOON - timedelta(days=days) - buckets * BUCKET + timedelta(microseconds=chance.randint(-1500, 1500))
        # The id is drawn a moment after the time, and has whole milliseconds.
        call_id = UUID(int=first_uuid7(time + timedelta(microseconds=300)).int | number << 8)
        wish = Made(call_id, time, chance.choice(MODELS), chance.choice(PROFILES), chance.choice(KEYS))
        call = replace(books.call(org_id, call_id, TokenCounts(input=1)), create_time=time, price=None)
        call = replace(call, model_id=wish.model, profile=wish.profile, key_id=wish.key_id)
        async with books.database.statement() as statement:
            await store.settle_call(statement, settlement_arguments(None, call), wish.profile)
        made.append(wish)
    return sorted(made, key=lambda call: call.id, reverse=True)


async def pages(books: Books, org_id: UUID, wanted: EventFilter, size: int) -> list[UUID]:
    """Every call, page by page."""
    found: list[UUID] = []
    while True:
        async with books.database.tenant(org_id) as transaction:
            page = await events.load_page(transaction, org_id, wanted, found[-1] if found else None, size)
        found += [event.id for event in page]
        if len(page) < size:
            return found


@pytest.mark.parametrize("seed", range(3))
async def test_filters_leave_out_and_repeat_nothing(books: Books, seed: int) -> None:
    chance = random.Random(seed)
    org_id, other = await books.organization(), await books.organization()
    made = await make(books, org_id, 60, chance)
    await make(books, other, 10, chance)
    all_spans = [(None, None), (NOON - timedelta(days=9, minutes=7), NOON), (NOON - timedelta(days=1), None)]

    for model in ("", *MODELS, "never"):
        for key_id in (None, *KEYS[:2], uuid7()):
            for span in all_spans:
                wanted = EventFilter(span, model, key_id)
                expected = [call.id for call in made if call.fits(wanted)]
                for size in (1, 4, 100):
                    assert await pages(books, org_id, wanted, size) == expected, (wanted, size)


async def test_another_tenants_calls_are_never_found(books: Books) -> None:
    org_id, other = await books.organization(), await books.organization()
    await make(books, other, 5, random.Random(1))
    for model, key_id in (("gpt-4o-mini", None), ("fast", KEYS[0]), ("", KEYS[1])):
        assert await pages(books, org_id, EventFilter((None, None), model, key_id), 10) == []


def test_spans_of_neighbours_are_one_and_end_at_the_bounds() -> None:
    first, last = first_uuid7(NOON - timedelta(hours=5)), first_uuid7(NOON + timedelta(minutes=1))
    starts = [NOON, NOON - BUCKET, NOON - timedelta(hours=2), NOON - timedelta(days=1)]
    assert spans(starts, first, last) == [
        (first_uuid7(NOON - BUCKET, -SLACK), last),
        (first_uuid7(NOON - timedelta(hours=2), -SLACK), first_uuid7(NOON - timedelta(hours=2), BUCKET + SLACK)),
    ]
    assert spans([], first, last) == []
