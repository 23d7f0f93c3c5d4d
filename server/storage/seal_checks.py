"""Whether every seal is what its rows and the seals before it make it, and where the first is not.

What is sealed does not change, so the chains are computed again some rounds at a time, each statement on a snapshot of
its own: no transaction lasts long, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from server.foundation import ids
from server.storage.database import Database, Role, Transaction
from server.storage.sealing import BATCH_POSITIONS, ROUND_HASH, SEAL_HASH, SEALS_CONTENT, ZEROS, Chain

_ROUNDS: Final = 500
"""Most rounds that one statement looks at; their rows are bounded as well."""
_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class SealReport:
    """What the chains look like."""

    difference: str | None
    """How many links differ and which is the first: organization, seal, positions, what was sealed, what is there."""
    head: str
    """The last round and its hash. Whoever keeps it elsewhere can prove later that nothing before it was rewritten."""


# Named query: seal_head. The last round, as the sealer noted it, and as rounds and seals have it.
_HEAD: Final = """
SELECT m.round, m.hash, r.hash AS found,
       greatest(m.round, (SELECT max(number) FROM seal_round), (SELECT max(round) FROM seal)) AS last
FROM seal_mark m LEFT JOIN seal_round r ON r.number = m.round
"""

# Named query: seal_block_end. The last of the next rounds that together hold no more rows than one round may.
_BLOCK_END: Final = """
SELECT coalesce(max(number), $1 + $2 - 1) FROM (
    SELECT number FROM seal_round
    WHERE number >= $1 AND number < $1 + $2
      AND (number = $1 OR through_position <= $3 + (SELECT after_position FROM seal_round WHERE number = $1))
) r
"""

# Named query: seal_broken_links. Seals that do not follow from the one before, or whose hash is not their own.
_BROKEN_LINKS: Final = f"""
SELECT s.round, s.chain, s.org_id, s.number, s.first_position, s.last_position, s.row_count,
       s.number > 1 AND p.number IS NULL AS gap, s.hash <> {SEAL_HASH} AS changed
FROM seal s LEFT JOIN seal p ON (p.org_id, p.chain, p.number) = (s.org_id, s.chain, s.number - 1)
WHERE s.round BETWEEN $1 AND $2
  AND (s.hash <> {SEAL_HASH}
       OR s.previous <> coalesce(p.hash, {ZEROS})
       OR s.number > 1 AND (p.number IS NULL OR p.round >= s.round))
ORDER BY s.round, s.chain, s.org_id
"""  # noqa: S608 - constants of this program

# Named query: seal_broken_rounds. Rounds that are not there, do not follow from the one before, or do not hold the
# seals that they were made over.
_BROKEN_ROUNDS: Final = f"""
SELECT n AS round, r.number IS NULL AS gone, r.after_position + 1 AS first_position,
       r.through_position AS last_position, r.seal_count, c.found, r.hash <> {ROUND_HASH} AS changed
FROM generate_series($1::bigint, $2::bigint) n
LEFT JOIN seal_round r ON r.number = n
LEFT JOIN seal_round p ON p.number = n - 1
LEFT JOIN LATERAL (SELECT count(*) AS found, {SEALS_CONTENT} AS content FROM seal s WHERE s.round = n) c ON true
WHERE r.number IS NULL OR r.hash <> {ROUND_HASH} OR r.seal_count <> c.found OR r.content <> c.content
   OR r.previous <> coalesce(p.hash, {ZEROS}) OR r.after_position <> coalesce(p.through_position, 0)
   OR n > 1 AND p.number IS NULL
ORDER BY n
"""  # noqa: S608 - constants of this program


def _broken_contents(chain: Chain) -> str:
    """Named query: seal_broken_contents. Seals whose rows are not those that were sealed, and rows without a seal.

    Before the first round there is nothing: a row with a smaller position than any is found in it.
    """
    after = "(CASE WHEN r.number = 1 THEN -9223372036854775808 ELSE r.after_position END)"
    return f"""
SELECT coalesce(s.round, f.round) AS round, coalesce(s.org_id, f.org_id) AS org_id, s.number,
       coalesce(s.first_position, f.first_position) AS first_position,
       coalesce(s.last_position, f.last_position) AS last_position,
       coalesce(s.row_count, 0) AS expected, coalesce(f.row_count, 0) AS found
FROM (SELECT * FROM seal WHERE chain = $3 AND round BETWEEN $1 AND $2) s
FULL JOIN (
    SELECT r.number AS round, c.* FROM seal_round r
    CROSS JOIN LATERAL ({chain.contents(after, "r.through_position")}) c WHERE r.number BETWEEN $1 AND $2
) f ON f.round = s.round AND f.org_id = s.org_id
WHERE (s.row_count, s.first_position, s.last_position, s.content)
      IS DISTINCT FROM (f.row_count, f.first_position, f.last_position, f.content)
ORDER BY 1, 2
"""  # noqa: S608 - constants of this program


# Named query: seal_waiting. The oldest row that waits for its seal since more than a minute, by the last sign of life
# of a server that ran for a minute: while nobody is there nothing is sealed, and a start catches up. A row is late only
# where the sealer's mark has not moved for that long either.
_WAITING: Final = """
WITH clock AS (
    SELECT (SELECT max(heartbeat_time) - interval '60 seconds' FROM process
            WHERE heartbeat_time > start_time + interval '60 seconds') AS latest,
           coalesce((SELECT max(through_position) FROM seal_round), 0) AS sealed
)
SELECT '{chain}' AS chain, t.org_id, t.position, t.create_time, count(*) OVER () AS count, m.writers
FROM {table} t, clock c, seal_mark m
WHERE t.position > c.sealed AND t.create_time < c.latest AND m.mark_time < c.latest
ORDER BY t.position LIMIT 1
"""


async def check_seals(database: Database, chains: Sequence[Chain]) -> SealReport:
    """Computes every chain again. Raises `DatabaseUnavailableError`."""
    async with database.privileged(Role.KEEPER) as transaction:
        head = await transaction.fetchrow(_HEAD)
    if head is None:
        return SealReport("the sealer's mark is gone", "")
    count, first, start = 0, "", 1
    while start <= head["last"]:
        async with database.privileged(Role.KEEPER) as transaction:
            end = await transaction.fetchval(_BLOCK_END, start, _ROUNDS, BATCH_POSITIONS, timeout=_SECONDS)
            found = await _differences(transaction, chains, start, end)
        first = first or (found[0] if found else "")
        count += len(found)
        start = end + 1
    if not count and head["found"] != head["hash"] and head["round"]:
        count, first = 1, f"round {head['round']}: its hash is not the one that the sealer noted"
    difference = f"{count} differ, first {first}" if count else None
    return SealReport(difference, f"round {head['round']}, {head['hash'].hex()}")


async def check_waiting(database: Database, chains: Sequence[Chain]) -> str | None:
    """Says which row should have been sealed and is not, if one is. Raises `DatabaseUnavailableError`."""
    async with database.privileged(Role.KEEPER) as transaction:
        for chain in chains:
            sql = _WAITING.format(chain=chain.name, table=chain.table)
            row = await transaction.fetchrow(sql, timeout=_SECONDS)
            if row is not None:
                why = "transactions that wrote then are still open" if row["writers"] else "nothing seals"
                return (
                    f"{row['count']} wait, first in the {chain.name} of {_name(row)}, position {row['position']},"
                    f" written at {row['create_time']:%Y-%m-%d %H:%M:%S} UTC: {why}"
                )
    return None


async def _differences(transaction: Transaction, chains: Sequence[Chain], start: int, end: int) -> list[str]:
    """Every difference of some rounds, the earliest first; of one round what names an organization comes first."""
    found: list[tuple[int, int, str]] = []
    rounds = await transaction.fetch(_BROKEN_ROUNDS, start, end, timeout=_SECONDS)
    found += [(row["round"], 0 if row["gone"] else 3, _round_text(row)) for row in rounds]
    for chain in chains:
        rows = await transaction.fetch(_broken_contents(chain), start, end, chain.name, timeout=_SECONDS)
        found += [(row["round"], 1, _contents_text(chain, row)) for row in rows]
    links = await transaction.fetch(_BROKEN_LINKS, start, end, timeout=_SECONDS)
    found += [(row["round"], 2, _link_text(row)) for row in links]
    return [text for _round, _rank, text in sorted(found)]


def _contents_text(chain: Chain, row: asyncpg.Record) -> str:
    place = f"positions {row['first_position']} to {row['last_position']}"
    if row["number"] is None:
        where = f"{chain.name} of {_name(row)}, {place}, round {row['round']}"
        return f"{where}: rows that no seal covers, {row['found']} of them"
    where = f"seal {row['number']} in the {chain.name} of {_name(row)}, {place}, round {row['round']}"
    if row["expected"] == row["found"]:
        return f"{where}: {row['found']} rows, but not as they were sealed"
    return f"{where}: expected {row['expected']} rows, found {row['found']}"


def _link_text(row: asyncpg.Record) -> str:
    where = f"seal {row['number']} in the {row['chain']} of {_name(row)}"
    place = f"positions {row['first_position']} to {row['last_position']}, round {row['round']}"
    if row["gap"]:
        return f"{where}, {place}: seal {row['number'] - 1} before it is gone"
    if row["changed"]:
        return f"{where}, {place}: the seal itself was changed"
    return f"{where}, {place}: it does not follow from the seal before"


def _round_text(row: asyncpg.Record) -> str:
    if row["gone"]:
        return f"round {row['round']}: it is gone"
    where = f"round {row['round']}, positions {row['first_position']} to {row['last_position']}"
    if row["seal_count"] != row["found"]:
        return f"{where}: expected {row['seal_count']} seals, found {row['found']}"
    if row["changed"]:
        return f"{where}: the round itself was changed"
    return f"{where}: it does not follow from its seals and the round before"


def _name(row: asyncpg.Record) -> str:
    return ids.to_text(ids.ORGANIZATION, row["org_id"])
