"""All SQL of settling many calls at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from server.storage.database import Transaction

_TYPES: Final = (
    *("uuid",) * 6,
    *("int8", "int8", "text", "uuid", "uuid"),
    *("text",) * 4,
    *("int4", "timestamptz", "int4", "int4", "bool", "text", "bool", "int4"),
    *("int8",) * 5,
    *("int4", "int4", "text", "text"),
)

_WRITTEN: Final = frozenset({"uuid", "int8", "int4", "bool"})
"""Types whose arrays are written here, as text without anything to quote: the driver looks twice at every element of an
array whether it is one itself, which took longer than the rest of a call's flush."""

# Writes the events of many calls, draws their leases, raises the buckets and tells the outbox.
_FLUSH: Final = "SELECT * FROM flush_calls({})".format(  # noqa: S608 - types and numbers of arguments
    ", ".join(
        f"${number}::text::{name}[]" if name in _WRITTEN else f"${number}::{name}[]"
        for number, name in enumerate(_TYPES, 1)
    )
)


async def flush(
    transaction: Transaction,
    draws: Sequence[tuple[UUID, UUID, UUID]],
    rows: Sequence[tuple[object, ...]],
) -> asyncpg.Record:
    """(events, bad_debt). `draws`: lease, transfer of its draw, transfer of its excess; `rows`: the calls, in the order
    of the function's other arguments. At least one call."""
    leases = list(zip(*draws, strict=True)) or [(), (), ()]
    columns = zip(_TYPES, (*leases, *zip(*rows, strict=True)), strict=True)
    row = await transaction.fetchrow(
        _FLUSH, *(_array(kind, column) if kind in _WRITTEN else column for kind, column in columns)
    )
    assert row is not None, "a function with OUT parameters answers one row"
    return row


def _array(kind: str, column: Sequence[Any]) -> str:
    """The column as PostgreSQL writes arrays."""
    if kind == "uuid":
        texts = ["NULL" if value is None else value.hex for value in column]
    else:
        texts = ["NULL" if value is None else str(value) for value in column]
    return f"{{{','.join(texts)}}}"
